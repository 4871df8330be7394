"""Errors: the exception, its status, and what its body says. And a client that goes away."""

from __future__ import annotations

import openai
from openai import OpenAI

from strict import checked


def fails(kind: type[openai.APIStatusError], status: int, call, **ask) -> openai.APIStatusError:
    """The error that a call ends in."""
    try:
        call(**ask)
    except kind as error:
        assert type(error) is kind and error.status_code == status, repr(error)
        assert error.body["message"] and error.type == error.body["type"], error.body
        assert error.code == error.body["code"] and error.param == error.body["param"], error.body
        assert "\n" not in error.body["message"]
        assert set(error.body) == {"message", "type", "param", "code"}, error.body
        return error
    raise AssertionError(f"{ask} was answered")


def unknown_model(client: OpenAI, names) -> None:
    hi = [{"role": "user", "content": "Hi"}]
    for call, ask in [
        (client.chat.completions.create, {"messages": hi}),
        (client.completions.create, {"prompt": "Hi"}),
        (client.embeddings.create, {"input": "Hi"}),
    ]:
        error = fails(openai.NotFoundError, 404, call, model="nobody", **ask)
        assert "nobody" in error.message and error.code == "not_found"
    fails(openai.NotFoundError, 404, client.models.retrieve, model="nobody")
    # A stream that is refused is refused before it begins.
    fails(openai.NotFoundError, 404, client.completions.create, model="nobody", prompt="Hi", stream=True)


def bad_parameter(client: OpenAI, names) -> None:
    hi = [{"role": "user", "content": "Hi"}]
    chat, text = client.chat.completions.create, client.completions.create
    for call, param, ask in [
        (chat, "temperature", {"messages": hi, "temperature": 3}),
        (chat, "messages[0].role", {"messages": [{"role": "robot", "content": "Hi"}]}),
        (chat, "messages", {"messages": []}),
        (text, "top_p", {"prompt": "Hi", "top_p": 0}),
        (text, "max_tokens", {"prompt": "Hi", "max_tokens": 0}),
        (text, "logprobs", {"prompt": "Hi", "logprobs": 6}),
        (text, "stop", {"prompt": "Hi", "stop": ["a", "b", "c", "d", "e"]}),
        (client.embeddings.create, "dimensions", {"input": "Hi", "dimensions": 100_000}),
    ]:
        model = {chat: names.chat, text: names.text}.get(call, names.embed)
        error = fails(openai.BadRequestError, 400, call, model=model, **ask)
        assert error.param == param and error.type == "invalid_request_error", (param, error.body)
    long = "Once upon a time " * 4000
    error = fails(openai.BadRequestError, 400, text, model=names.text, prompt=long)
    assert error.code == "context_length_exceeded", error.body


def unknown_field(client: OpenAI, names) -> None:
    call = client.completions.create
    error = fails(openai.BadRequestError, 400, call, model=names.text, prompt="Hi", extra_body={"temprature": 1})
    assert error.param == "temprature", error.body


def wrong_task(client: OpenAI, names) -> None:
    error = fails(openai.InternalServerError, 501, client.embeddings.create, model=names.text, input="Hi")
    assert error.code == "unsupported" and error.param == "model", error.body


def wrong_url(client: OpenAI, names) -> None:
    fails(openai.NotFoundError, 404, client.images.generate, prompt="a cat")


def left_alone(client: OpenAI, names) -> None:
    ask = dict(model=names.text, prompt="Once", max_tokens=400, extra_body={"logit_bias": {"2": -100}})
    for _ in range(20):
        with client.completions.create(**ask, stream=True) as stream:
            next(iter(stream))
    # Others are served as if nobody had left.
    checked(client.completions.create(model=names.text, prompt="Once", max_tokens=2))
