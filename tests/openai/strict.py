"""Strict validation of what the published client has read.

The client builds its objects without validation: a field of a wrong type or a field that nothing defines passes silently. Here
every object is validated again by its own type, strictly, and every field must be known.
"""

from __future__ import annotations

import warnings
from typing import Any, Iterator, TypeVar

from pydantic import BaseModel

# A warning of the client, of pydantic or of Python is a failure: a connection that is left open is one.
warnings.simplefilter("error")

# Fields of ours that the published types do not have, by type. Those that begin with `x_` may be anywhere.
EXTENSIONS = {
    "CreateEmbeddingResponse": {"normalize", "pooling"},
    "Embedding": {"tokens", "truncated"},
    "ChatCompletionMessage": {"reasoning_content"},
    "ParsedChatCompletionMessage": {"reasoning_content"},
    "ChoiceDelta": {"reasoning_content"},
}

# Fields that the published documents always print, null or not, though the client's types have a default for them.
ALWAYS = {
    "ChatCompletion": {"usage"},
    "Choice": {"logprobs"},
    "ChatCompletionMessage": {"content", "refusal"},
    "Completion": {"usage"},
    "CompletionChoice": {"logprobs"},
}

T = TypeVar("T", bound=BaseModel)


def parts(value: Any, path: str) -> Iterator[tuple[str, BaseModel]]:
    """Every object in a response, with its path."""
    if isinstance(value, BaseModel):
        yield path, value
        for name in value.model_fields_set:
            yield from parts(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from parts(item, f"{path}[{index}]")
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from parts(item, f"{path}.{name}")


def checked(response: T) -> T:
    """The response, if every object in it is what its type says, has what the documents print, and nothing else."""
    # `warnings` makes a value of a wrong type an error already when it is written.
    text = response.model_dump_json(exclude_unset=True, by_alias=True, warnings="error")
    type(response).model_validate_json(text, strict=True)
    for path, part in parts(response, type(response).__name__):
        # A generic type has its parameter in its name.
        kind = type(part).__name__.partition("[")[0]
        extra = {name for name in part.model_extra or {} if not name.startswith("x_")}
        unknown = extra - EXTENSIONS.get(kind, set())
        assert not unknown, f"{path} has unknown fields {sorted(unknown)}"
        missing = ALWAYS.get(kind, set()) - part.model_fields_set
        assert not missing, f"{path} lacks {sorted(missing)}"
    return response
