"""Runs Aider for one turn, and tells what happens as one JSON object a line.

Aider by itself reads its settings, environment and model endpoint from files of
the repository, ends with code 0 whatever happened, and mixes its own words with
the model's. Here only files of the home count, and every line has a type.

Invariant: what the model writes is a value within a line, never a line.
"""

import json
import os
import sys
from pathlib import Path

# Whatever else prints, does not print here.
EVENTS = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
os.dup2(2, 1)

HOME = Path.home().resolve()

# Instructions of the repository.
QUOTED = {"AGENTS.md", "CLAUDE.md"}

# So often the model may be shown files that it asked for, or edits that did not fit.
ROUNDS_MAX = 8


def tell(kind, **fields):
    EVENTS.write(json.dumps({"type": kind, **fields}) + "\n")
    EVENTS.flush()


def patched(owner, name, make):
    """Replaces what must be there: a version without it is refused."""
    setattr(owner, name, make(getattr(owner, name)))


def only_of_home(_default_file, _git_root, given):
    path = Path(given).resolve() if given else None
    return [str(path)] if path and path.is_relative_to(HOME) else []


def text_of(messages):
    return " ".join(str(message) for message in messages).strip()


def usage(completion):
    counts = getattr(completion, "usage", None)
    if counts is None:
        return
    details = getattr(counts, "prompt_tokens_details", None)
    cached = getattr(details, "cached_tokens", None) or 0
    tell("usage", input=counts.prompt_tokens, cached=cached, output=counts.completion_tokens)


def counted(original):
    def count(coder, messages, completion=None):
        usage(completion)
        return original(coder, messages, completion)

    return count


def failed(coder, error, _words=None):
    """A request that is not tried again."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    tell(
        "failed",
        error=type(error).__name__,
        status=getattr(error, "status_code", None),
        retry_after=headers.get("retry-after"),
        message=str(error),
    )
    return []


def watched(original):
    def run(coder, *args, **kwargs):
        # The prompt names them and quotes them.
        coder.ignore_mentions.update(QUOTED)
        answer = original(coder, *args, **kwargs)
        if coder.reflected_message:
            tell("unfinished", message=str(coder.reflected_message))
        return answer

    return run


def main():
    from aider import main as program
    from aider.coders.base_coder import Coder
    from aider.io import InputOutput
    from aider.repomap import RepoMap

    class Told(InputOutput):
        def tool_output(self, *messages, log_only=False, bold=False):
            if messages and not log_only:
                tell("output", text=text_of(messages))

        def tool_warning(self, message="", strip=True):
            tell("warning", text=text_of([message]))

        def tool_error(self, message="", strip=True):
            tell("error", text=text_of([message]))

        def assistant_output(self, message, pretty=None):
            tell("text", text=message)

        def offer_url(self, *_args, **_kwargs):
            return False

        def get_input(self, *_args, **_kwargs):
            tell("question", text="a prompt")
            raise EOFError

    patched(program, "InputOutput", lambda _: Told)
    patched(program, "get_parser", lambda original: lambda _files, root: original([], root))
    patched(program, "generate_search_path_list", lambda _: only_of_home)
    # It would write a user's name into the repository's configuration.
    patched(program, "setup_git", lambda _: lambda root, _io: root)
    patched(RepoMap, "TAGS_CACHE_DIR", lambda name: str(HOME / name))
    patched(Coder, "max_reflections", lambda _: ROUNDS_MAX)
    patched(Coder, "calculate_and_show_tokens_and_cost", counted)
    patched(Coder, "check_and_open_urls", lambda _: failed)
    patched(Coder, "show_exhausted_error", lambda _: lambda _coder: tell("exhausted"))
    patched(Coder, "run", watched)
    code = program.main(sys.argv[1:])
    tell("end", code=code if isinstance(code, int) else 0)


main()
