"""Verilog-A models as netlists of many instances need them."""

import re

__all__ = ["with_instance_parameter"]


def with_instance_parameter(text: str, parameter: str) -> str:
    """A model whose parameter can be set for each instance.

    OSDI keeps parameters with the model, one for all its instances, unless an attribute says otherwise.
    """
    declared = re.compile(r"(\(\*[^*]*\*\)\s*)?\bparameter\b[^;=]*=[^;]*;")

    def mark(match: re.Match[str]) -> str:
        given, whole = match.group(1) or "", match.group()
        if "instance" in given or not re.search(rf"[\s,]{re.escape(parameter)}\s*=", whole[len(given) :]):
            return whole
        return f'(* type="instance" *) {whole[len(given) :]}'

    return declared.sub(mark, text)
