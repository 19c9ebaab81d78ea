"""How much of everything: the sizes of the experiment, and of its small version for the tests."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Settings:
    """Sizes and counts.

    Attributes
    ----------
    seeds
        Networks per problem, each trained from its own initial state on its own draws.
    log_snrs
        Noise levels at which operators and traces are compared.
    points
        Points per level; likelihoods and adjoints use as many.
    steps
        Numbers of solver steps.
    rate_steps
        Lengths of training at which the excess risk of a head is measured.
    """

    seeds: int = 5
    log_snrs: tuple[float, ...] = (-6.0, -4.0, -2.0, 0.0, 2.0, 4.0, 6.0)
    points: int = 16
    probes: tuple[int, ...] = (1, 4, 16)
    steps: tuple[int, ...] = (5, 10, 20, 40)
    reference_steps: int = 80
    rate_steps: tuple[int, ...] = (125, 250, 500, 1000)
    training: float = 1.0  # factor of all training lengths
    atoms: int = 1797  # of the digits, at most
    names: tuple[str, ...] = ("digits", "mixture", "sample")


FULL = Settings()
QUICK = Settings(
    seeds=2,
    log_snrs=(-3.0, 1.0),
    points=4,
    probes=(1, 4),
    steps=(4, 8),
    reference_steps=12,
    rate_steps=(20, 60),
    training=0.02,
    atoms=60,
    names=("mixture", "sample"),
)
