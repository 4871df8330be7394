"""Models, chat and completions, whole and streamed."""

from __future__ import annotations

from openai import OpenAI

from strict import checked

MESSAGES = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": [{"type": "text", "text": "Say "}, {"type": "text", "text": "something."}]},
]


def models(client: OpenAI, names) -> None:
    page = client.models.list()
    listed = {checked(model).id for model in page.data}
    assert listed == {names.chat, names.text, names.embed}, listed
    assert checked(client.models.retrieve(names.text)).id == names.text


def usage_adds_up(usage) -> None:
    assert usage is not None and usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, usage


def chat(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=MESSAGES, max_completion_tokens=12, temperature=0, user="judge")
    response = checked(client.chat.completions.create(**ask))
    assert response.object == "chat.completion" and response.id.startswith("chatcmpl-") and response.created > 0
    assert response.model, "the version that answered"
    (choice,) = response.choices
    assert choice.index == 0 and choice.finish_reason in ("stop", "length") and choice.logprobs is None
    assert choice.message.role == "assistant" and isinstance(choice.message.content, str)
    usage_adds_up(response.usage)
    again = checked(client.chat.completions.create(**ask))
    assert again.choices == response.choices and again.id != response.id


def chat_stream(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=MESSAGES, max_completion_tokens=12, temperature=0)
    whole = checked(client.chat.completions.create(**ask))
    with client.chat.completions.create(**ask, stream=True) as stream:
        chunks = [checked(chunk) for chunk in stream]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" and chunk.usage is None for chunk in chunks)
    assert all("usage" not in chunk.model_fields_set for chunk in chunks), "nobody asked for the usage"
    choices = [chunk.choices[0] for chunk in chunks]
    assert choices[0].delta.role == "assistant", "the first chunk says who speaks"
    assert all(choice.delta.role is None for choice in choices[1:]), "and no other one"
    assert choices[-1].finish_reason == whole.choices[0].finish_reason, "the last chunk says why it ends"
    assert not choices[-1].delta.content
    assert all(choice.finish_reason is None for choice in choices[:-1]), "and no other one"
    assert "".join(choice.delta.content or "" for choice in choices) == whole.choices[0].message.content


def chat_stream_usage(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=MESSAGES, max_completion_tokens=5)
    options = {"include_usage": True}
    with client.chat.completions.create(**ask, stream=True, stream_options=options) as stream:
        chunks = [checked(chunk) for chunk in stream]
    assert all("usage" in chunk.model_fields_set for chunk in chunks), "null in all but the last"
    assert all(chunk.usage is None and len(chunk.choices) == 1 for chunk in chunks[:-1])
    assert chunks[-1].choices == [] and chunks[-2].choices[0].finish_reason
    usage_adds_up(chunks[-1].usage)
    # The client's own accumulator comes to the same. It takes an answer that is cut for an error: this one meets a stop string.
    ask |= dict(max_completion_tokens=12, temperature=0)
    text = checked(client.chat.completions.create(**ask)).choices[0].message.content
    ask["stop"] = [next(character for character in text[1:] if character.isascii())]
    whole = checked(client.chat.completions.create(**ask))
    assert whole.choices[0].finish_reason == "stop" and whole.choices[0].message.content == text.partition(ask["stop"][0])[0]
    with client.chat.completions.stream(**ask, stream_options=options) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = checked(stream.get_final_completion())
    assert "".join(deltas) == final.choices[0].message.content == whole.choices[0].message.content
    assert final.usage.completion_tokens == whole.usage.completion_tokens


def chat_logprobs(client: OpenAI, names) -> None:
    ask = dict(model=names.chat, messages=MESSAGES, max_completion_tokens=4, temperature=0, logprobs=True)
    choice = checked(client.chat.completions.create(**ask, top_logprobs=3)).choices[0]
    tokens = choice.logprobs.content
    assert tokens and choice.logprobs.refusal is None
    for token in tokens:
        # A special token has no bytes in the text.
        assert token.logprob <= 0 and (token.bytes or token.token.startswith("<|")), token
        ranked = [rival.logprob for rival in token.top_logprobs]
        assert len(ranked) == 3 and ranked == sorted(ranked, reverse=True), token
        assert ranked[0] == token.logprob, "greedy takes the most likely one"
    spelled = b"".join(bytes(token.bytes or []) for token in tokens)
    assert spelled.decode(errors="ignore") == choice.message.content.replace("\ufffd", "")
    with client.chat.completions.create(**ask, stream=True) as stream:
        chunks = [checked(chunk) for chunk in stream]
    streamed = [token for chunk in chunks if chunk.choices[0].logprobs for token in chunk.choices[0].logprobs.content]
    assert [(token.token, token.logprob) for token in streamed] == [(token.token, token.logprob) for token in tokens]
    assert all(token.top_logprobs == [] for token in streamed)


def completion(client: OpenAI, names) -> None:
    ask = dict(model=names.text, prompt="Once upon a time", max_tokens=16, temperature=0)
    response = checked(client.completions.create(**ask, stop=["."], seed=7))
    assert response.object == "text_completion" and response.id.startswith("cmpl-")
    (choice,) = response.choices
    assert choice.index == 0 and choice.text and "." not in choice.text and choice.logprobs is None
    usage_adds_up(response.usage)
    cut = checked(client.completions.create(**{**ask, "max_tokens": 2})).choices[0]
    assert cut.finish_reason == "length" and choice.text.startswith(cut.text)


def completion_echo(client: OpenAI, names) -> None:
    ask = dict(model=names.text, prompt="Once upon a time", max_tokens=4, temperature=0)
    plain = checked(client.completions.create(**ask)).choices[0].text
    assert checked(client.completions.create(**ask, echo=True)).choices[0].text == ask["prompt"] + plain
    with client.completions.create(**ask, echo=True, stream=True) as stream:
        assert "".join(choice.text for chunk in stream for choice in chunk.choices) == ask["prompt"] + plain


def completion_stream(client: OpenAI, names) -> None:
    ask = dict(model=names.text, prompt="Once upon a time", max_tokens=16, temperature=0)
    whole = checked(client.completions.create(**ask))
    with client.completions.create(**ask, stream=True, stream_options={"include_usage": True}) as stream:
        # The client has one type for both, whose choices always have a reason; chunks have null in its place.
        chunks = list(stream)
    assert all(chunk.object == "text_completion" for chunk in chunks)
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == whole.choices[0].text
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert reasons[-1] == whole.choices[0].finish_reason and not any(reasons[:-1]), reasons
    last = checked(chunks[-1])
    assert last.choices == []
    usage_adds_up(last.usage)


def completion_logprobs(client: OpenAI, names) -> None:
    ask = dict(model=names.text, prompt="Once upon a time", max_tokens=6, temperature=0, logprobs=2)
    choice = checked(client.completions.create(**ask)).choices[0]
    found = choice.logprobs
    assert len(found.tokens) == len(found.token_logprobs) == len(found.top_logprobs) == len(found.text_offset) == 6
    assert "".join(found.tokens) == choice.text
    assert found.text_offset[0] == 0 and found.text_offset == sorted(found.text_offset)
    for token, logprob, rivals in zip(found.tokens, found.token_logprobs, found.top_logprobs):
        assert 1 <= len(rivals) <= 2 and rivals[token] == logprob == max(rivals.values()), (token, rivals)
