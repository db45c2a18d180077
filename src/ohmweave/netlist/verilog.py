"""Verilog-A models as netlists of many instances need them."""

import re

__all__ = ["with_instance_parameter"]


def with_instance_parameter(text: str, parameter: str) -> str:
    """A model whose parameter can be set for each instance.

    OSDI keeps parameters with the model, one for all its instances, unless an attribute says otherwise.
    """
    *statements, rest = text.split(";")
    return ";".join((*(_marked(each, parameter) for each in statements), rest))


def _marked(statement: str, parameter: str) -> str:
    declared = re.search(r"\bparameter\b", statement)
    if declared is None or not re.search(rf"[\s,]{re.escape(parameter)}\s*=", statement[declared.end() :]):
        return statement
    before, given = statement[: declared.start()], ""
    # The attribute that it has already is the last one before it.
    opened = before.rfind("(*")
    if opened >= 0 and re.fullmatch(r"\(\*[^*]*\*\)\s*", before[opened:]):
        before, given = before[:opened], before[opened:]
    return statement if "instance" in given else f'{before}(* type="instance" *) {statement[declared.start() :]}'
