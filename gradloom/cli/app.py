"""The typer application: its commands and the help of the whole."""

from __future__ import annotations

import sys

import typer

import gradloom
from gradloom.cli.doctor import doctor
from gradloom.cli.evaluate import evaluate
from gradloom.cli.info import info
from gradloom.cli.predict import predict
from gradloom.cli.report import report
from gradloom.cli.see import see
from gradloom.cli.train import train


def build_app() -> typer.Typer:
    """All commands; help and usage errors are boxed and coloured on a terminal, plain text elsewhere."""
    app = typer.Typer(
        help="Train neural networks on tables and arrays, and use them.",
        epilog="Begin with:  gradloom train iris",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich" if sys.stderr.isatty() else None,
    )
    app.callback()(_with_version)
    for command in (train, predict, evaluate, doctor, info, see, report):
        app.command()(command)
    return app


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"gradloom {gradloom.__version__}")
        raise typer.Exit


def _with_version(
    version: bool = typer.Option(False, "--version", callback=_show_version, is_eager=True, help="Show the version."),
) -> None:
    """Train neural networks on tables and arrays, and use them."""
