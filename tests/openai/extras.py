"""Several choices, several prompts, log-probabilities of prompts, tools, structured output."""

from __future__ import annotations

import json
from typing import Literal

from openai import OpenAI
from pydantic import BaseModel, ConfigDict

from answers import usage_adds_up
from strict import checked

ASK = [{"role": "user", "content": "Is it warm in Rome?"}]

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"enum": ["Rome", "Oslo"]}, "metric": {"type": "boolean"}},
                "required": ["city", "metric"],
                "additionalProperties": False,
            },
        },
    }
]


# Without references: the documented subset has none.
FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "weather",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string", "enum": ["Rome", "Oslo"]}, "warm": {"type": "boolean"}},
            "required": ["city", "warm"],
            "additionalProperties": False,
        },
    },
}


class Weather(BaseModel):
    """What `FORMAT` describes."""

    model_config = ConfigDict(extra="forbid", strict=True)

    city: Literal["Rome", "Oslo"]
    warm: bool


def prompt_logprobs(client: OpenAI, names) -> None:
    response = client.completions.create(
        model=names.text, prompt="Once upon a time", max_tokens=4, temperature=0, echo=True, logprobs=1
    )
    (choice,) = response.choices
    found = choice.logprobs
    # The first one is the model's beginning of a text, which is no part of it; the next has a space that is none either.
    assert "".join(found.tokens[1:]).lstrip() == choice.text, "the prompt's tokens come first"
    assert found.text_offset[0] == 0 and found.text_offset == sorted(found.text_offset)
    # Nothing comes before the first token: it has no probability. The client's type does not know of this null.
    assert found.token_logprobs[0] is None and found.top_logprobs[0] is None
    assert all(isinstance(logprob, float) and logprob <= 0 for logprob in found.token_logprobs[1:]), found.token_logprobs
    assert all(rivals for rivals in found.top_logprobs[1:])
    found.token_logprobs[0], found.top_logprobs[0] = 0.0, {}
    checked(response)


def prompts(client: OpenAI, names) -> None:
    texts = ["Once upon a time", "The cat", "One day"]
    ask = dict(model=names.text, max_tokens=6, temperature=0)
    response = checked(client.completions.create(**ask, prompt=texts))
    assert [choice.index for choice in response.choices] == [0, 1, 2]
    alone = [checked(client.completions.create(**ask, prompt=text)) for text in texts]
    assert [choice.text for choice in response.choices] == [one.choices[0].text for one in alone]
    assert response.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone)
    usage_adds_up(response.usage)


def choices(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=ASK, max_completion_tokens=8, temperature=1.5, seed=3)
    one = checked(client.chat.completions.create(**ask))
    response = checked(client.chat.completions.create(**ask, n=3))
    assert [choice.index for choice in response.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in response.choices}) > 1, "each is drawn for itself"
    assert response.usage.prompt_tokens == one.usage.prompt_tokens, "the prompt counts once"
    usage_adds_up(response.usage)


def choices_stream(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=ASK, max_completion_tokens=8, temperature=1.5, seed=3, n=2)
    whole = checked(client.chat.completions.create(**ask))
    with client.chat.completions.create(**ask, stream=True) as stream:
        chunks = [checked(chunk) for chunk in stream]
    for index in (0, 1):
        mine = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert mine[0].delta.role == "assistant" and all(choice.delta.role is None for choice in mine[1:])
        assert mine[-1].finish_reason and not any(choice.finish_reason for choice in mine[:-1])
        text = "".join(choice.delta.content or "" for choice in mine)
        assert text == whole.choices[index].message.content


def called(choice) -> dict:
    """The arguments of the one call of a choice."""
    assert choice.finish_reason in ("tool_calls", "stop"), choice.finish_reason
    (call,) = choice.message.tool_calls
    assert call.type == "function" and call.id and call.function.name == "weather", call
    arguments = json.loads(call.function.arguments)
    assert set(arguments) == {"city", "metric"} and arguments["city"] in ("Rome", "Oslo"), arguments
    assert isinstance(arguments["metric"], bool), arguments
    return arguments


def tools_required(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=ASK, tools=TOOLS, max_completion_tokens=100, parallel_tool_calls=False)
    choice = checked(client.chat.completions.create(**ask, tool_choice="required")).choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None
    called(choice)
    free = checked(client.chat.completions.create(**ask, tool_choice="none")).choices[0]
    assert not free.message.tool_calls and isinstance(free.message.content, str)


def tools_named(client: OpenAI, names) -> None:
    named = {"type": "function", "function": {"name": "weather"}}
    ask = dict(model=names.chat, messages=ASK, tools=TOOLS, max_completion_tokens=100, parallel_tool_calls=False)
    called(checked(client.chat.completions.create(**ask, tool_choice=named)).choices[0])


def tools_answered(client: OpenAI, names) -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome", "metric": true}'}}
    told = [
        *ASK,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"degrees": 31}'},
    ]
    ask = dict(model=names.chat, messages=told, tools=TOOLS, tool_choice="none", max_completion_tokens=8)
    assert checked(client.chat.completions.create(**ask)).choices[0].message.content


def tools_stream(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=ASK, tools=TOOLS, tool_choice="required", max_completion_tokens=100)
    ask |= dict(temperature=0, parallel_tool_calls=False)
    whole = checked(client.chat.completions.create(**ask)).choices[0]
    with client.chat.completions.create(**ask, stream=True) as stream:
        chunks = [checked(chunk) for chunk in stream]
    deltas = [delta for chunk in chunks for delta in chunk.choices[0].delta.tool_calls or []]
    first, rest = deltas[0], deltas[1:]
    assert first.index == 0 and first.id and first.type == "function" and first.function.name == "weather", first
    assert all(delta.index == 0 and delta.id is None and delta.function.name is None for delta in rest), rest
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    # The client's own accumulator puts the call together.
    with client.chat.completions.stream(**ask) as stream:
        kinds = {event.type for event in stream}
        # Of its own making: it leaves the places of deltas in it.
        final = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.done" in kinds, kinds
    assert called(final) == called(whole)


def json_object(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=ASK, max_completion_tokens=150, temperature=0)
    choice = checked(client.chat.completions.create(**ask, response_format={"type": "json_object"})).choices[0]
    if choice.finish_reason == "stop":
        assert isinstance(json.loads(choice.message.content), dict)
    else:
        assert choice.message.content.lstrip().startswith("{"), choice.message.content


def schema(client: OpenAI, names) -> None:
    for temperature in (0, 1, 1.5):
        ask = dict(model=names.chat, messages=ASK, max_completion_tokens=100, temperature=temperature, seed=5)
        choice = checked(client.chat.completions.create(**ask, response_format=FORMAT)).choices[0]
        assert choice.finish_reason == "stop", choice
        Weather.model_validate_json(choice.message.content)


def schema_parse(client: OpenAI, names) -> None:
    class Warm(BaseModel):
        model_config = ConfigDict(extra="forbid")
        warm: bool

    # The client makes the schema of the type, and an object of the answer.
    ask = dict(model=names.chat, messages=ASK, max_completion_tokens=100, response_format=Warm)
    # Of its own making: it puts an object into it, which its type does not print.
    message = client.chat.completions.parse(**ask).choices[0].message
    assert isinstance(message.parsed, Warm) and message.refusal is None


def schema_stream(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=ASK, max_completion_tokens=100, temperature=0, response_format=FORMAT)
    whole = checked(client.chat.completions.create(**ask)).choices[0].message.content
    with client.chat.completions.stream(**ask) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        stream.get_final_completion()
    assert text == whole
    Weather.model_validate_json(text)
