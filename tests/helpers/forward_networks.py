"""Networks that are a few layers and a function: the smallest that show one thing."""

from torch import nn


class ForwardNetwork(nn.Module):
    """Layers by name, and the function that runs them: `run(network, x)`."""

    def __init__(self, run, **layers):
        """Keep the layers, in this order."""
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self.run = run

    def forward(self, x):
        """Run the function."""
        return self.run(self, x)


class FusedAttention(nn.Module):
    """Attention whose queries, keys and values are made by one linear layer."""

    def __init__(self, width=16, heads=4):
        """Make the layers."""
        super().__init__()
        self.num_heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        """Attend: tokens (N, L, width) → (N, L, width)."""
        images, tokens, _ = x.shape
        q, k, v = self.qkv(x).reshape(images, tokens, 3, self.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.proj(attended.transpose(1, 2).reshape(images, tokens, -1))


def conv(inputs, outputs, kernel=3, **options):
    """Return a convolution that keeps height and width."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, **options)
