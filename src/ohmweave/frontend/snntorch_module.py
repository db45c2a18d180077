"""Live snnTorch modules to graphs.

The module runs once on known numbers while every layer's call is watched: which layers' values each reads, in which
order. It may take one step a call (``init_hidden=True``, a Sequential), or loop over steps in its own forward
pass, as snnTorch's tutorials do; every step must then do the same. Between layers nothing is read but what moves
values (``flatten``, ``view``, ``x[step]``) and sums of two of them; anything else is refused by its name. What was
read then runs beside the module itself (:mod:`ohmweave.frontend.snntorch_check`).
"""

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

from ohmweave.errors import AssumptionWarning, ModelError
from ohmweave.frontend.snntorch_check import Way, check
from ohmweave.frontend.snntorch_layers import (
    NEURONS,
    at_rest,
    clamped,
    first_tensor,
    from_library,
    layer_op,
    leaves,
    refuse,
)
from ohmweave.frontend.tidy import tidy
from ohmweave.graph import Graph, Node
from ohmweave.ops import Add, Flatten, Input, Op, Shape, Stateful

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["from_snntorch", "is_spiking"]

# What may stand between layers; names of torch's functions, and of those that only read or copy.
_MOVES = ("flatten", "view", "reshape")
_SUMS = ("add", "__add__", "__radd__")
_PARTS = ("__getitem__", "select", "unbind", "squeeze", "unsqueeze", "expand", "repeat", "permute", "transpose")
_COPIES = ("clone", "detach", "contiguous", "float", "double", "to", "requires_grad_", "type")
_GATHERS = ("stack", "cat")
_FRESH = ("zeros_like", "new_zeros")
_CHANGED = "changed spikes"
_INPUT = "x"
_STEPS = 3
_UNIT = 2.0**-20


@dataclass(frozen=True)
class _Label:
    """What a tensor is: a node's value at a step, its neurons' state behind it, or something made of these."""

    node: str
    kind: str = "value"
    step: int = 0
    # Without memory, and from an input that is the same at every step: so it is itself.
    still: bool = False


@dataclass
class _Tape:
    """What has been watched so far: nodes in order, and what each tensor that is still alive holds."""

    nodes: dict[str, Node]
    shapes: dict[str, Shape]
    example: Any
    labels: dict[int, _Label] = field(default_factory=dict)
    # Tensors kept alive, so that no other takes the place by which one is known.
    kept: list[Any] = field(default_factory=list)
    joined: dict[tuple[str, ...], str] = field(default_factory=dict)
    # How often each layer has been called: its step.
    calls: dict[str, int] = field(default_factory=dict)
    # Whether the input is read whole at every step.
    still: bool = True

    def label(self, tensor: Any) -> _Label | None:
        """What a tensor holds, if anything of the network's."""
        return self.labels.get(id(tensor))

    def put(self, tensor: Any, label: _Label) -> None:
        """Say what a tensor holds."""
        self.kept.append(tensor)
        self.labels[id(tensor)] = label

    def add(self, name: str, op: Op, sources: tuple[str, ...]) -> None:
        """Append a node."""
        try:
            self.shapes[name] = op.out_shape(*(self.shapes[source] for source in sources))
        except ModelError as error:
            raise refuse(name, error.message, error.remedy) from error
        self.nodes[name] = Node(name, op, sources)


def is_spiking(module: "nn.Module") -> bool:
    """Whether a module holds neurons of snnTorch, which need not be installed to tell."""
    return any(from_library(child) for child in module.modules())


def from_snntorch(module: "nn.Module", input_shape: Shape) -> Graph:
    """Read a live snnTorch module.

    Args:
        module: the trained network, read as in evaluation mode; its states and modes are put back as they were.
        input_shape: shape of one sample at one step, without batch and steps.

    Returns:
        The network with float64 weights and one beta, threshold a neuron; batch normalisations are folded into
        the layer before them. Its spikes are snnTorch's but for the rounding of single precision.

    Raises:
        AssumptionWarning: (warned) decays beyond 0..1, which snnTorch takes as 0 or 1 itself.
        ModelError: a forward pass that cannot be followed, a layer or option that is not read, or other spikes than
            the module's own on random trains.
    """
    import torch

    parameter = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))
    failures: list[Exception] = []
    # One step of two samples; then, for a forward pass that loops over its first dimension, some steps of them.
    for lead in ((2,), (_STEPS, 2)):
        # All values differ, so that a layer that reads them in another order is found out; the unit keeps them small.
        numbers = torch.arange(prod((*lead, *input_shape)), dtype=parameter.dtype, device=parameter.device)
        tape = _tape((numbers * _UNIT).reshape(*lead, *input_shape), tuple(input_shape))
        try:
            with at_rest(module), torch.no_grad(), _watched(module, tape):
                result = module(tape.example)
            way = _way(module, tape, len(lead))
        except Exception as error:  # noqa: BLE001  the module's own code may raise anything
            failures.append(error)
        else:
            graph = _graph(module, tape, result)
            check(module, graph, way)
            _tell_clamped(module, graph)
            return graph
    raise _worst(failures, module, tuple(input_shape))


def _tell_clamped(module: "nn.Module", graph: Graph) -> None:
    neurons = {node.name for node in graph.nodes if isinstance(node.op, Stateful)}
    for name, layer in leaves(module):
        for text in clamped(name, layer) if name in neurons else ():
            warnings.warn(text, AssumptionWarning, stacklevel=3)


def _worst(failures: list[Exception], module: "nn.Module", shape: Shape) -> ModelError:
    """What to tell of the attempts: the first refusal, or else what the module's own code raised."""
    for failure in failures:
        if isinstance(failure, ModelError):
            return failure
    reasons = [f"{type(error).__name__}: {(str(error) or 'no message').splitlines()[0]}" for error in failures]
    error = ModelError(
        f"expected a forward pass on samples of shape {shape}, found {reasons[0]} (given one step), "
        f"{reasons[1]} (given [steps, samples, ...])",
        where=type(module).__name__,
        remedy="give the right input_shape",
    )
    error.__cause__ = failures[0]
    return error


def _tape(example: "Tensor", shape: Shape) -> _Tape:
    """A tape that knows the input alone."""
    tape = _Tape({_INPUT: Node(_INPUT, Input(shape))}, {_INPUT: shape}, example)
    tape.put(example, _Label(_INPUT))
    return tape


def _graph(module: "nn.Module", tape: _Tape, result: Any) -> Graph:
    """What the tape holds, up to the layer whose spikes the module returned."""
    wanted = tape.label(first_tensor(result))
    if wanted is None or wanted.kind in ("state", "membranes", _CHANGED):
        found = (
            "none"
            if wanted is None
            else f"the {'membranes' if wanted.kind == 'state' else wanted.kind} of {wanted.node!r}"
        )
        raise ModelError(
            f"expected the forward pass to return a layer's spikes first, found {found}",
            where=type(module).__name__,
            remedy="return the spikes, before any membranes",
        )
    return tidy(Graph(tuple(tape.nodes.values()), (wanted.node,)))


def _way(module: "nn.Module", tape: _Tape, lead: int) -> Way:
    """How the module took the example."""
    neurons = [name for name, node in tape.nodes.items() if isinstance(node.op, Stateful)]
    steps = max((tape.calls[name] for name in neurons), default=1)
    lengths = list(tape.example.shape[:lead])
    if tape.still:
        return Way(lead > 1 or steps > 1, steps, None, lead)
    if lead == 1 or steps not in lengths:
        raise ModelError(
            f"expected steps of several samples each, found {steps} steps of shape {tuple(tape.example.shape)}",
            where=type(module).__name__,
            remedy="let it take [steps, samples, ...]",
        )
    # The example has not as many steps as samples, so that one is not taken for the other.
    return Way(own_loop=True, steps=steps, axis=lengths.index(steps), lead=lead)


@contextlib.contextmanager
def _watched(module: "nn.Module", tape: _Tape) -> Iterator[None]:
    """Hooks on every layer, and an eye on every function of torch between them."""
    from torch.overrides import TorchFunctionMode

    inside = [0]

    class _Between(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            if not inside[0]:
                _between(tape, getattr(func, "__name__", str(func)), args, kwargs or {}, result)
            return result

    def before(*_: Any) -> None:
        inside[0] += 1

    def after(name: str) -> Any:
        def hook(layer: Any, args: Any, kwargs: Any, result: Any) -> None:
            # Still inside: what is asked of tensors here is no part of the network.
            _called(tape, name, layer, (*args, *kwargs.values()), result)
            inside[0] -= 1

        return hook

    handles = []
    layers = {id(layer): (name, layer) for name, layer in reversed(list(leaves(module)))}
    for name, layer in layers.values():
        handles += [
            layer.register_forward_pre_hook(before, with_kwargs=True),
            layer.register_forward_hook(after(name), with_kwargs=True),
        ]
    try:
        with _Between():
            yield
    finally:
        for handle in handles:
            handle.remove()


def _called(tape: _Tape, name: str, layer: Any, args: tuple[Any, ...], result: Any) -> None:
    """A layer's call: a node at its first, the same sources at every later one."""
    for state in args[1:]:
        _check_state(tape, name, state)
    step = tape.calls[name] = tape.calls.get(name, 0) + 1
    source, still = _source(tape, name, args[0], step)
    first, *states = result if isinstance(result, tuple) else (result,)
    if name not in tape.nodes:
        op = layer_op(name, layer, tape.shapes[source])
        if first is args[0]:
            return
        tape.add(name, op, (source,))
    elif tape.nodes[name].inputs != (source,):
        raise refuse(
            name,
            f"expected one source at every step, found {tape.nodes[name].inputs[0]!r} and {source!r}",
            "give every place of the network a layer of its own, and no value of an earlier step but to RLeaky",
        )
    neurons = type(layer).__name__ in NEURONS
    tape.put(first, _Label(name, step=step, still=still and not neurons))
    for state in states if neurons else ():
        # Recurrent neurons take their own spikes back as a state.
        if state is not first:
            tape.put(state, _Label(name, "state", step))


def _source(tape: _Tape, name: str, tensor: Any, step: int) -> tuple[str, bool]:
    """The node whose value at this step a layer reads, and whether that is the same at every step."""
    label = tape.label(tensor)
    if label is None or label.kind != "value":
        found = "a value that no layer makes" if label is None else f"the {label.kind} of {label.node!r}"
        raise refuse(name, f"expected it to read a layer's output or the input, found {found}", _between_layers())
    if label.node == _INPUT:
        tape.still = _whole(tape, name, tensor, step)
        return _INPUT, tape.still
    if label.step != step and not label.still:
        raise refuse(
            name,
            f"expected it to read {label.node!r} at the same step, {step}, found step {label.step}",
            "give every place of the network a layer of its own, and no value of an earlier step but to RLeaky",
        )
    return label.node, label.still


def _whole(tape: _Tape, name: str, tensor: Any, step: int) -> bool:
    """Whether a tensor is the whole input, not one step of it; anything else is refused."""
    values = prod(tape.shapes[_INPUT])
    *lead, samples = (1, *tape.example.shape)[: tape.example.ndim + 1 - len(tape.shapes[_INPUT])]
    numbers = tensor.reshape(-1, values) / _UNIT if not tensor.numel() % values else tensor.new_zeros(1, 1)
    # Numbers count up by one through the example, and a sample begins at a multiple of its size.
    ordered = bool((numbers == numbers[:, :1] + numbers.new_tensor(range(numbers.shape[1]))).all())
    rows = [int(row) for row in numbers[:, 0] // values] if ordered and not (numbers[:, 0] % values).any() else []
    every = list(range(prod(lead) * samples))
    steps_first, samples_first = every[(step - 1) * samples :][:samples], every[step - 1 :: samples]
    if rows == every or (rows and rows in ([step - 1], steps_first, samples_first)):
        return rows == every
    raise refuse(
        name,
        "expected it to read whole samples of the input, step by step, found parts or another order",
        _between_layers(),
    )


def _check_state(tape: _Tape, name: str, state: Any) -> None:
    """States of neurons are their own, or zeros at the start."""
    if state is None or not hasattr(state, "dtype"):
        return
    label = tape.label(state)
    if label is None:
        found = "values other than 0" if bool((state != 0).any()) else "new ones" if tape.calls.get(name) else ""
    else:
        found = "" if label.node == name else f"those of {label.node!r}"
        if not found and (label.kind not in ("state", "value") or label.step != tape.calls.get(name)):
            found = "changed ones, or those of another step"
    if found:
        raise refuse(
            name,
            f"expected states of its own that begin at 0 and go from step to step as they are, found {found}",
            "begin with init_leaky(), and leave them to the neurons",
        )


def _between_layers() -> str:
    return f"between layers nothing is read but {', '.join(_MOVES)} and sums of two; use layers for the rest"


def _between(tape: _Tape, func: str, args: Any, kwargs: Any, result: Any) -> None:
    """A function of torch outside all layers."""
    given = [label for label in map(tape.label, _tensors((*args, *kwargs.values()))) if label is not None]
    # Into a tensor for all steps, which it does not return.
    results = _tensors((args[0],)) if func == "__setitem__" else _tensors((result,))
    if not given or not results or func in ("__get__", "__set__", *_FRESH):
        return
    label = given[0]
    if func in _COPIES or (func in _PARTS and label == _Label(_INPUT)):
        made = label
    elif label.kind in ("state", "membranes"):
        made = replace(label, kind="membranes")
    elif func in (*_GATHERS, "__setitem__") and len({(one.node, one.kind == _CHANGED) for one in given}) == 1:
        made = replace(label, kind=_CHANGED if label.kind == _CHANGED else "history")
    elif label.kind != "value":
        made = label if func in _PARTS else replace(label, kind=_CHANGED)
    else:
        plain = not kwargs and len(args) == len(given)
        made = _moved(tape, func, given, results, plain=plain)
    for tensor in results:
        tape.put(tensor, made)


def _moved(tape: _Tape, func: str, given: list[_Label], results: list[Any], *, plain: bool) -> _Label:
    """What a function of values at one step makes, where it is one that is read; plain without further arguments."""
    label = given[0]
    steps = {one.step for one in given if not one.still}
    if func in _SUMS and plain and len(given) == 2 and len(steps) < 2:
        node = _joined(tape, Add(), (given[0].node, given[1].node), "add")
        return _Label(node, step=max(steps, default=label.step), still=not steps)
    if func not in _MOVES or len(given) != 1 or len(results) != 1 or results[0].ndim != 2:
        raise refuse(
            label.node, f"expected its value to go to a layer, found torch's {func!r} of it", _between_layers()
        )
    flat = (prod(tape.shapes[label.node]),)
    if results[0].shape[1:] != flat:
        raise refuse(label.node, f"expected all its values in one row, found {tuple(results[0].shape)}", "flatten it")
    if tape.shapes[label.node] == flat:
        return label
    return replace(label, node=_joined(tape, Flatten(), (label.node,), "flatten"))


def _tensors(values: Any) -> list[Any]:
    """All tensors among arguments."""
    found: list[Any] = []
    for value in values:
        if isinstance(value, tuple | list):
            found += _tensors(value)
        elif hasattr(value, "dtype") and hasattr(value, "ndim"):
            found.append(value)
    return found


def _joined(tape: _Tape, op: Op, sources: tuple[str, ...], name: str) -> str:
    """The node of an operation between layers, made at the first step and found again at later ones."""
    key = (name, *sources)
    if key not in tape.joined:
        label = name
        while label in tape.nodes:
            label += "_"
        tape.add(label, op, sources)
        tape.joined[key] = label
    return tape.joined[key]
