"""Times of shapes that are made up: what a search for targets does can be judged without a quiet machine."""

import math
import random

from pruning_core.shapes.timing import SettingTimes, ShapeTime

DENSE_MS = 8.0
LOOK_NOISE, CLOSE_NOISE = 0.03, 0.015
"""Standard deviations of the logarithm of a speed-up; of a close look, with four times the rounds, half."""


def speed_of(network, dense):
    """Return the true speed-up of a network: a part of the time is for its numbers, a part never goes."""
    share = sum(p.numel() for p in network.parameters()) / sum(p.numel() for p in dense.parameters())
    return 1 / (0.97 * share**0.8 + 0.03)


class NoisyTimer:
    """Times shapes as a loaded machine does: each time is the true one and an error."""

    def __init__(self, seed=0, noise=True, contention="", session=0.0):
        self.random, self.noise, self.contention = random.Random(seed), noise, contention
        self.session = session  # of an error that all times of one session have in common
        self.sessions = []

    def __call__(self, reference, networks, example, setting, closely, advance):
        self.sessions.append((len(networks), closely))
        shared = math.exp(self.random.gauss(0, self.session))
        times = [self._time(shared * speed_of(network, reference), closely) for network in networks]
        return SettingTimes(setting, tuple(times), None, ("",) * len(networks), self.contention)

    def _time(self, speedup, closely):
        spread = (CLOSE_NOISE if closely else LOOK_NOISE) * self.noise
        speedup *= math.exp(self.random.gauss(0, spread))
        low, high = speedup * math.exp(-2 * spread), speedup * math.exp(2 * spread)
        bounds = (DENSE_MS / high, DENSE_MS / low)
        return ShapeTime(DENSE_MS / speedup, DENSE_MS, speedup, low, high, 10, bounds, (DENSE_MS, DENSE_MS))
