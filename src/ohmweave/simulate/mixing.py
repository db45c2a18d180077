"""Anderson's mixing of a fixed-point iteration, for many samples at once."""

import numpy as np

from ohmweave.units import Array

__all__ = ["Mixer"]

_DEPTH = 4
_LEAST_SHARE = 1e-10


class Mixer:
    """Remembers the last iterations of x <- g(x) and makes the next x of them.

    With f = g - x, and dF and dG the changes of f and g over the last iterations, the next x is
    g - dG y, y the least-squares solution of dF y = f, for every sample by itself (Anderson, J. ACM 12, 1965;
    Walker and Ni, SIAM J. Numer. Anal. 49, 2011).
    """

    def __init__(self) -> None:
        self._last: tuple[Array, Array] | None = None
        self._changes: list[tuple[Array, Array]] = []

    def mix(self, x: Array, g: Array) -> Array:
        """The next x, shape [samples, unknowns] like ``x`` and ``g``."""
        f = g - x
        if self._last is not None:
            self._changes = [*self._changes, (f - self._last[0], g - self._last[1])][-_DEPTH:]
        self._last = f, g
        if not self._changes:
            return g
        d_f = np.stack([change for change, _ in self._changes], axis=1)
        d_g = np.stack([change for _, change in self._changes], axis=1)
        normal = d_f @ np.swapaxes(d_f, 1, 2)
        # Changes scaled to one, so that what is negligible beside the others is seen as such.
        size = np.sqrt(np.maximum(np.einsum("sii->si", normal), np.finfo(float).tiny))
        scaled = normal / (size[:, :, None] * size[:, None, :])
        right = np.einsum("sdp,sp->sd", d_f, f) / size
        y = (np.linalg.pinv(scaled, rcond=_LEAST_SHARE, hermitian=True) @ right[..., None])[..., 0] / size
        return np.asarray(g - np.einsum("sd,sdp->sp", y, d_g))
