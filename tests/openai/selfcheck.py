"""Whether the judge would notice: responses that are wrong in one place each."""

from __future__ import annotations

import copy
from typing import Any, Callable

from openai import OpenAI
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from strict import checked

CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_700_000_000,
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hi", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
    "x_lifecycle": {"state": "active"},
}

CHUNK = {
    "id": "chatcmpl-1",
    "object": "chat.completion.chunk",
    "created": 7,
    "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}],
    "usage": None,
}

VECTORS = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [1.0, -0.5], "tokens": 3, "truncated": False}],
    "model": "m",
    "usage": {"prompt_tokens": 6, "total_tokens": 6},
    "normalize": "none",
    "pooling": "cls",
}

Change = Callable[[Any], Any]

WRONG: list[tuple[type, dict, Change]] = [
    (ChatCompletion, CHAT, lambda v: v.update(unheard_of=1)),
    (ChatCompletion, CHAT, lambda v: v.update(created="7")),
    (ChatCompletion, CHAT, lambda v: v.update(created=7.5)),
    (ChatCompletion, CHAT, lambda v: v.pop("id")),
    (ChatCompletion, CHAT, lambda v: v["choices"][0].update(finish_reason="tired")),
    (ChatCompletion, CHAT, lambda v: v["choices"][0].pop("finish_reason")),
    (ChatCompletion, CHAT, lambda v: v["choices"][0].pop("logprobs")),
    (ChatCompletion, CHAT, lambda v: v["choices"][0]["message"].pop("refusal")),
    (ChatCompletion, CHAT, lambda v: v["choices"][0]["message"].update(unheard_of=1)),
    (ChatCompletion, CHAT, lambda v: v["choices"][0]["message"].update(role="robot")),
    (ChatCompletion, CHAT, lambda v: v["usage"].pop("total_tokens")),
    (ChatCompletionChunk, CHUNK, lambda v: v["choices"][0]["delta"].update(unheard_of=1)),
    (ChatCompletionChunk, CHUNK, lambda v: v.update(object="chat.completion")),
    (CreateEmbeddingResponse, VECTORS, lambda v: v["data"][0].update(embedding=["a"])),
    (CreateEmbeddingResponse, VECTORS, lambda v: v["data"][0].pop("index")),
]


def notices(_client: OpenAI, _names) -> None:
    for kind, value in [(ChatCompletion, CHAT), (ChatCompletionChunk, CHUNK), (CreateEmbeddingResponse, VECTORS)]:
        checked(kind.construct(**value))
    for number, (kind, value, change) in enumerate(WRONG):
        wrong = copy.deepcopy(value)
        change(wrong)
        try:
            checked(kind.construct(**wrong))
        except Exception:
            continue
        raise AssertionError(f"case {number} of {kind.__name__} passes: {wrong}")
