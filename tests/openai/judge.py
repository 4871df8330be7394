"""The published OpenAI client as judge of what the runtime answers.

    python judge.py http://127.0.0.1:PORT --chat NAME --text NAME --embed NAME

Starts nothing: the example `host` serves the three models. Every response, chunk and error goes through the client's own types
(`strict.py`).
"""

from __future__ import annotations

import argparse
import sys
import traceback
from dataclasses import dataclass
from typing import Callable

import openai
from openai import OpenAI

import answers
import errors
import extras
import selfcheck
import vectors


@dataclass
class Names:
    """What the models are called."""

    chat: str
    text: str
    embed: str


Check = Callable[[OpenAI, Names], None]

GROUPS: dict[str, list[Check]] = {
    "judge": [selfcheck.notices],
    "models": [answers.models],
    "chat": [answers.chat, answers.chat_stream, answers.chat_stream_usage, answers.chat_logprobs],
    "completions": [
        answers.completion,
        answers.completion_stream,
        answers.completion_echo,
        answers.completion_logprobs,
    ],
    "embeddings": [vectors.floats, vectors.base64, vectors.batch, vectors.options],
    "errors": [errors.unknown_model, errors.bad_parameter, errors.unknown_field, errors.wrong_task, errors.wrong_url],
    "cancel": [errors.left_alone],
    "prompt_logprobs": [extras.prompt_logprobs],
    "prompts": [extras.prompts],
    "n": [extras.choices, extras.choices_stream],
    "tools": [extras.tools_required, extras.tools_named, extras.tools_answered, extras.tools_stream],
    "schema": [extras.json_object, extras.schema, extras.schema_parse, extras.schema_stream],
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base_url", help="where the host listens, without /v1")
    for name, what in [("chat", "has a chat template"), ("text", "continues text"), ("embed", "makes vectors")]:
        parser.add_argument(f"--{name}", required=True, metavar="NAME", help=f"the model that {what}")
    parser.add_argument("--only", nargs="+", choices=GROUPS, metavar="GROUP", help=f"of {', '.join(GROUPS)}")
    arguments = parser.parse_args()
    names = Names(arguments.chat, arguments.text, arguments.embed)
    failed, passed = [], 0
    with OpenAI(base_url=f"{arguments.base_url}/v1", api_key="unused", max_retries=0, timeout=60) as client:
        for group in arguments.only or GROUPS:
            for check in GROUPS[group]:
                name = f"{group}: {check.__name__}"
                try:
                    check(client, names)
                except Exception:
                    traceback.print_exc()
                    failed.append(name)
                    print(f"FAILED  {name}", flush=True)
                else:
                    passed += 1
                    print(f"ok      {name}", flush=True)
    print(f"openai {openai.__version__}: {passed} passed, {len(failed)} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
