"""Your own training loop; pruning-bench knows nothing of it. Writes best.pt.

usage: python train.py [EPOCHS]
"""

import sys

import my_data
import my_net
import torch
from torch.nn import functional as F


def as_input(images):
    """uint8 (N, 3, 32, 32) -> float32 in [-1, 1]."""
    return torch.from_numpy(images).float() / 127.5 - 1


torch.manual_seed(0)
(images, labels), (test_images, test_labels) = my_data.load()
network = my_net.build(10, 3)
optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
for epoch in range(int(sys.argv[1]) if sys.argv[1:] else 6):
    network.train()
    for batch in torch.randperm(len(images)).split(64):
        loss = F.cross_entropy(network(as_input(images[batch])), torch.from_numpy(labels[batch]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval()
    with torch.inference_mode():
        right = network(as_input(test_images)).argmax(1) == torch.from_numpy(test_labels)
    print(f"epoch {epoch + 1}: {right.float().mean():.2%} of {len(right)} test images")
torch.save({"epoch": epoch + 1, "model": network.state_dict()}, "best.pt")
