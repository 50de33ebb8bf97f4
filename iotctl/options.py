"""The options that commands share: the global ones anywhere on the line, dry run, help with its exit codes."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Annotated, Any, Final, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from iotctl.errors import Exit, Usage
from iotctl.text import nearest

Argument, Option = typer.Argument, typer.Option
"""For the options of several commands, where they stand in a file of their own."""

Ctx = typer.Context
"""A command's first parameter; `ctx.obj` is the `iotctl.context.Context`."""

FORMATS: Final = ("table", "json", "quiet")

GLOBAL_HELP: Final = """\
Global options (anywhere on the line):
  -o, --output table|json|quiet  how to print (default: table; in a pipe: tab-separated)
  -q                             the same as -o quiet: ids only, one a line
  --profile NAME                 the AWS profile
  --region NAME                  the AWS region
  --expect-account ID            refuse to act on any other account
  --local                        act on the local platform (or IOTCTL_TARGET=local)
  -y, --yes                      do not ask before changing something
  -v, --verbose                  say more, on stderr
  --debug                        say every call, on stderr
  --no-color                     no colours (or NO_COLOR)"""

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options as they were typed."""

    output: str = "table"
    profile: str | None = None
    region: str | None = None
    expect_account: str | None = None
    local: bool = False
    yes: bool = False
    verbose: bool = False
    debug: bool = False
    no_color: bool = False


_FLAGS: Final = {
    "-q": ("output", "quiet"),
    "--local": ("local", True),
    "-y": ("yes", True),
    "--yes": ("yes", True),
    "-v": ("verbose", True),
    "--verbose": ("verbose", True),
    "--debug": ("debug", True),
    "--no-color": ("no_color", True),
}
_VALUES: Final = {
    "-o": "output",
    "--output": "output",
    "--profile": "profile",
    "--region": "region",
    "--expect-account": "expect_account",
}
GLOBAL_WORDS: Final = (*_VALUES, *_FLAGS)


def split(argv: Sequence[str]) -> tuple[Globals, list[str]]:
    """The global options, wherever they stand before a `--`, and the rest of the line.

    Raises:
        Usage: a value is missing or not one of those allowed.

    """
    found: dict[str, Any] = {}
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if word.startswith("-o") and word[2:] in FORMATS:
            found["output"] = word[2:]
        elif word == "--":
            rest += [word, *words]
        elif word in _FLAGS:
            key, flag = _FLAGS[word]
            found[key] = flag
        elif name in _VALUES:
            given = value if equals else next(words, None)
            if given is None:
                raise Usage(
                    f"{word} needs a value",
                    hint=f"{word} {'|'.join(FORMATS) if name in {'-o', '--output'} else 'VALUE'}",
                )
            found[_VALUES[name]] = given
        else:
            rest.append(word)
    chosen = replace(Globals(), **found)
    if chosen.output not in FORMATS:
        meant = nearest(chosen.output, FORMATS)
        raise Usage(f"unknown output format {chosen.output!r}", hint=f"-o {meant or 'table|json|quiet'}")
    return chosen, rest


ThingGroup = Annotated[
    str | None, typer.Option("--thing-group", "-g", metavar="NAME", help="All things of a group and of those below it.")
]
Search = Annotated[str | None, typer.Option("--search", metavar="QUERY", help="The things a fleet index query finds.")]
ThingsFile = Annotated[
    str | None, typer.Option("--things", metavar="FILE", help="The things of a list, one name a line; - for stdin.")
]
ShadowName = Annotated[str | None, typer.Option("--name", metavar="NAME", help="A named shadow; else the classic one.")]


def capability(name: str, summary: str) -> typer.Typer:
    """The typer application of one capability, with help that fits a pipe as well as a terminal."""
    return typer.Typer(
        name=name,
        help=summary,
        short_help=summary,
        cls=Group,
        rich_markup_mode=None,
        add_completion=False,
        pretty_exceptions_enable=False,
    )


def command(
    app: typer.Typer, *, example: str, exits: Sequence[Exit] = (), name: str | None = None
) -> Callable[[_Function], _Function]:
    """Register a command that reads: it returns a Result or a Stream.

    Args:
        app: the capability's application.
        example: lines to paste, shown in its help.
        exits: the exit codes that mean something particular to it, besides 0, 1 and 2.
        name: where the function's own name is not the word typed.

    """
    return _register(app, Command, example, exits, name)


def change(
    app: typer.Typer, *, example: str, exits: Sequence[Exit] = (), name: str | None = None
) -> Callable[[_Function], _Function]:
    """Register a command that changes something: it returns a Plan, which the root shows, asks about, and runs."""
    return _register(app, Change, example, (Exit.PARTIAL, Exit.AUTH, Exit.LOCKED, Exit.INTERRUPTED, *exits), name)


def spread(kind: type[Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Let a command have the fields of a dataclass for parameters, so that two commands can have the same ones.

    The command gets them as one value, its parameter `words`: `def plan(ctx: Ctx, words: Words, …)`.
    """
    hints = get_type_hints(kind, include_extras=True)
    brought = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]

    def spreading(function: Callable[..., Any]) -> Callable[..., Any]:
        own = inspect.signature(function, eval_str=True).parameters

        @functools.wraps(function)
        def command(**given: Any) -> Any:  # noqa: ANN401  a command's own values
            words = kind(**{parameter.name: given.pop(parameter.name) for parameter in brought})
            return function(words=words, **given)

        parameters = []
        for name, parameter in own.items():
            parameters += brought if name == "words" else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        vars(command)["__signature__"] = inspect.Signature(parameters)  # what typer reads
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return command

    return spreading


class Group(TyperGroup):
    """A group whose help ends with the global options."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  click's own types, vendored or not
        """Write the global options, unwrapped."""
        _write(formatter, GLOBAL_HELP)


class Command(TyperCommand):
    """A command whose help ends with examples, exit codes and where the global options are explained."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  click's own types, vendored or not
        """Write the epilog as it was composed, unwrapped."""
        _write(formatter, self.epilog or "")


class Change(Command):
    """A command that changes something: it has `--dry-run`, which the root acts on."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401  click's own signature
        super().__init__(*args, **kwargs)
        self.params.append(
            TyperOption(
                param_decls=["--dry-run", "-n"],
                is_flag=True,
                default=False,
                expose_value=False,
                callback=_dry_run,
                help="Show what would be done, do nothing.",
            )
        )


def _dry_run(ctx: Any, parameter: Any, value: bool) -> None:  # noqa: ANN401, ARG001  click's own signature
    if value:
        ctx.obj.dry_run = True


def _register(
    app: typer.Typer, kind: type[TyperCommand], example: str, exits: Sequence[Exit], name: str | None
) -> Callable[[_Function], _Function]:
    codes = sorted({Exit.OK, Exit.BUG, Exit.USAGE, *exits})
    status = "\n".join(f"  {code.value:<4} {code.meaning}" for code in codes)
    examples = "\n".join(f"  $ {line}" for line in example.strip().splitlines())
    epilog = f"Examples:\n{examples}\n\nExit status:\n{status}\n\nGlobal options: iotctl --help"
    return app.command(name, cls=kind, epilog=epilog, no_args_is_help=False)


def _write(formatter: Any, text: str) -> None:  # noqa: ANN401  click's own type, vendored or not
    formatter.write_paragraph()
    for line in text.splitlines():
        formatter.write(f"{line}\n")
