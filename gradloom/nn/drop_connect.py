"""DropConnect: dropout of single connections instead of whole units."""

from __future__ import annotations

import math

import numpy as np

from gradloom import functional as fn
from gradloom import options, random
from gradloom.errors import OptionError
from gradloom.nn import activations
from gradloom.nn.dense import Dense
from gradloom.nn.dropout import MODES, checked_rate
from gradloom.nn.init import Initializer
from gradloom.nn.module import Module, current_call
from gradloom.tensor import Tensor

MASKS = ("batch", "example", "normal")

NODES = 20
"""Of the quadrature: for tanh and deviations of about 1 the mean is right to 1e-4."""


class DropConnect(Dense):
    """A dense layer, g(x (M ∘ W) + b), each of whose weights is set to 0 with probability ``rate`` while training.

    "inverted" divides the weights that are kept by p = 1 - rate, so that their mean is W; "weight_scaled" keeps them as
    they are, as in the paper, so that their mean is p W.

    Predicting, ``predict="mean"`` uses the mean weights.  "moments" follows the paper: over all masks the sums are
    nearly normal, N(p W x, p(1 - p) W² x²), and the output is the mean of g over that distribution.  The paper draws
    samples; here it is a formula for ReLU and Gauss' quadrature for other activations, which must work element by
    element, so the outputs are the same in every call.  b is never dropped, unlike in the paper.

    A mask of its own for each example regularises much more than one for all of a step.  Drawing it takes long, and all
    that a unit sees of it is a sum, so ``mask="normal"`` draws the sums from the normal distribution above, one number
    for each example and unit (Wang and Manning, "Fast dropout training", 2013).  One example's sums are independent
    under masks too, so nothing is approximated but the shape of their distribution.

    Args:
        units: number of outputs.
        rate: the probability to drop a connection, from 0 to below 1.
        activation: name or module of g; None for a linear layer.
        bias: whether there is a b.
        init: name or function of the initialiser of W.
        bias_init: likewise of b.
        mode: "inverted" or "weight_scaled".
        mask: "example" for one mask for each example, as in the paper, which takes examples · inputs · units random
            numbers, and as much memory; "normal" for nearly the same at the cost of a second matrix product; "batch"
            for one mask for all examples of a step, which the paper found to regularise too little.
        predict: "mean" or "moments".

    Raises:
        OptionError: an option is out of range, or a training call has no key.

    Source: Wan, Zeiler, Zhang, LeCun and Fergus, "Regularization of neural networks using DropConnect" (2013).
    """

    def __init__(
        self,
        units: int,
        rate: float = 0.5,
        *,
        activation: str | Module | None = None,
        bias: bool = True,
        init: str | Initializer = "glorot_uniform",
        bias_init: str | Initializer = "zeros",
        mode: str = "inverted",
        mask: str = "batch",
        predict: str = "mean",
    ) -> None:
        super().__init__(units, activation=activation, bias=bias, init=init, bias_init=bias_init)
        self.rate = checked_rate("DropConnect", rate)
        self.mode = options.choice("DropConnect", "mode", mode, MODES)
        self.mask = options.choice("DropConnect", "mask", mask, MASKS)
        self.predict = options.choice("DropConnect", "predict", predict, ("mean", "moments"))
        if predict == "moments" and isinstance(self.activation, activations.Softmax):
            fix = "Use predict='mean', or put the softmax behind the layer."
            raise OptionError(
                "DropConnect", rule="moments need an activation of single elements", got="softmax", fix=fix
            )

    def forward(self, x: Tensor) -> Tensor:
        """g(x (M ∘ W) + b) while training, its mean over the masks when predicting."""
        call = current_call()
        is_moments = self.rate and self.predict == "moments" and not (call.training and call.drop)
        if not is_moments or self.activation is None:
            return super().forward(x)
        return self._mean_activation(self._checked(x))

    def _sums(self, x: Tensor) -> Tensor:
        keep, call = 1 - self.rate, current_call()
        if keep == 1:
            return super()._sums(x)
        if not call.training or not call.drop:
            return self._mean_sums(x)
        key = call.next_key("DropConnect")
        if self.mask == "normal":
            mean, deviation = self._moments(x)
            return mean + deviation * random.normal(key, mean.shape, mean.dtype)
        kept_weight = self.weight if self.mode == "weight_scaled" else self.weight / keep
        if self.mask == "batch":
            return self._shifted(x @ fn.where(random.bernoulli(key, keep, self.weight.shape), kept_weight, 0))
        each = fn.where(random.bernoulli(key, keep, (x.shape[0], *self.weight.shape)), kept_weight, 0)
        products = x.reshape(x.shape[0], -1, x.shape[-1]) @ each
        return self._shifted(products.reshape(*x.shape[:-1], self.units))

    def _mean_sums(self, x: Tensor) -> Tensor:
        return self._shifted(x @ (self.weight * (1 - self.rate) if self.mode == "weight_scaled" else self.weight))

    def _moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and the standard deviation that the sums have over all masks."""
        keep = 1 - self.rate
        spread = keep * (1 - keep) if self.mode == "weight_scaled" else (1 - keep) / keep
        variance = spread * (fn.square(x) @ fn.square(self.weight))
        is_random = variance > 0  # the root has no finite slope at 0
        deviation = fn.where(is_random, fn.sqrt(fn.where(is_random, variance, 1)), 0)
        return self._mean_sums(x), deviation

    def _mean_activation(self, x: Tensor) -> Tensor:
        """The mean of g over sums that are normal with the mean and variance that they have over all masks."""
        mean, deviation = self._moments(x)
        if isinstance(self.activation, activations.ReLU):
            is_random = deviation > 0
            ratio = mean / fn.where(is_random, deviation, 1)
            below = 0.5 * (1 + fn.erf(ratio * math.sqrt(0.5)))
            density = fn.exp(-0.5 * fn.square(ratio)) / math.sqrt(2 * math.pi)
            return fn.where(is_random, mean * below + deviation * density, fn.relu(mean))
        points, weights = np.polynomial.hermite_e.hermegauss(NODES)
        weights /= weights.sum()
        return sum(
            (w * self._activated(mean + p * deviation) for p, w in zip(points.tolist(), weights.tolist())),
            fn.zeros_like(mean),
        )
