"""The verb that scores stored texts."""

from __future__ import annotations

from typing import Annotated

import typer

from fieldcast.cli._common import Home, Json, open_home, show
from fieldcast.cli._data import Dataset, data

__all__ = ["data", "data_score"]  # the group, with this verb in it


@data.command("score")
def data_score(
    instrument: Annotated[str | None, typer.Argument(help="What the scores are about [default: the source itself].")] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Id of the texts, such as NEWS:YAHOO [default: the instrument's own].")
    ] = None,
    scorer: Annotated[
        str | None, typer.Option("--scorer", help="lexicon, headline, finbert or llm [default: lexicon offline, else the best].")
    ] = None,
    kind: Annotated[
        str | None, typer.Option("--kind", help="news, x, reddit, stocktwits or earnings [default: by the source's id].")
    ] = None,
    dataset: Dataset = None,
    history: Annotated[
        bool, typer.Option("--history", help="Scores count as known when their texts were, and say that this is assumed.")
    ] = False,
    online: Annotated[bool, typer.Option("--online", help="A service may be asked (llm).")] = False,
    home: Home = None,
    json: Json = False,
) -> None:
    """Score stored texts once, for the sentiment field; what this scorer has scored already is left alone."""
    from fieldcast import workflows
    from fieldcast.cli import _render

    with open_home(home) as workspace, _render.watching(quiet=json) as progress:
        result = workflows.score_texts(
            workspace,
            instrument,
            source=source,
            scorer=scorer,
            kind=kind,
            dataset=dataset,
            history=history,
            online=online,
            progress=progress,
        )
    show(result, json)
