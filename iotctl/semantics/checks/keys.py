"""Keys that can be computed from their public part."""

from __future__ import annotations

from typing import Final

_GENERATOR: Final = 65537
_LARGEST: Final = 167


def is_roca(modulus: int) -> bool:
    """Whether an RSA modulus bears the mark of Infineon's library (CVE-2017-15361).

    Its primes are `k * M + (65537^a mod M)`, M the product of the first primes, so the modulus is a power of 65537 in
    the group of every one of them: of a random key that holds with a probability below one in a hundred million.
    Source: Nemec et al., "The Return of Coppersmith's Attack", section 2.
    """
    return all(modulus % prime in powers for prime, powers in _POWERS)


def _powers(prime: int) -> frozenset[int]:
    found, power = set[int](), 1
    while power not in found:
        found.add(power)
        power = power * _GENERATOR % prime
    return frozenset(found)


def _primes(largest: int) -> list[int]:
    return [n for n in range(3, largest + 1) if all(n % divisor for divisor in range(2, int(n**0.5) + 1))]


_POWERS: Final = tuple((prime, _powers(prime)) for prime in _primes(_LARGEST))
