"""What the earned upgrades change in a reading of the fields, and what stands there while they are not earned.

    intraday_dealer   earned: the newest chain, also inside a session in progress. Else: whoever looks sees it, marked as research
                      only; a reading with `earned_only` takes the last chain from before the session opened
    hmm_regime        earned, and parameters stored that were fitted before the moment: the regime carries their odds. Else the
                      reason why it does not
    print_stream      earned, and prints of the contracts stored: under the sign policy `auto` they say how dealers hold the open
                      interest. Else `auto` is the naive policy

Showing is not using: `read_fields` is for eyes, and marks what is not earned. What feeds a model or a position reads with
`earned_only`, or through `usable_fields`, which does.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fieldcast.data import load_instrument
from fieldcast.fields import Reading
from fieldcast.fields._rows import rows_of
from fieldcast.fields.chain_rows import newest_snapshot
from fieldcast.fields.dealer import NAIVE, POLICIES, SignPolicy, TradeFlow, lee_ready, signed_volume
from fieldcast.fields.priced_chain import PricedChain
from fieldcast.fields.regime import ChangePointParameters, HmmParameters, observations
from fieldcast.ground import IntegrityError, InvalidInput, MissingData, Reason, Shown, digest, utc
from fieldcast.ground.files import write_whole
from fieldcast.market import Instrument, file_name, sessions
from fieldcast.market.tables import OPTION_TRADES
from fieldcast.models.change_points import fit_change_points
from fieldcast.models.hmm import fit_hmm
from fieldcast.validation import HMM_REGIME, INTRADAY_DEALER, PRINT_STREAM, UpgradeVerdict, load_verdicts
from fieldcast.workflows.cycles import not_in_the_future
from fieldcast.workflows.run_log import log_run
from fieldcast.workflows.sealing import known_until
from fieldcast.workflows.workspace import Workspace

AUTO, PRINTS = "auto", "prints"
SIGNS = (AUTO, *POLICIES, PRINTS)
PRINTS_BACK = timedelta(hours=PRINT_STREAM.settings["hours"])
RANGE_KNOWN = 0.8  # share of the bars with a range, from which on the range is a feature


class EarnedParts:
    """The upgrades of one instrument at one moment.

    Parameters
    ----------
    earned_only : True where the reading may feed a model: what is not earned then stays out, instead of being marked
    """

    def __init__(self, workspace: Workspace, instrument: Instrument, as_of: datetime, *, earned_only: bool) -> None:
        self.workspace, self.instrument, self.as_of, self.earned_only = workspace, instrument, utc(as_of), earned_only
        with workspace.ledger.read() as session:
            self.verdicts: Mapping[str, UpgradeVerdict] = load_verdicts(session, instrument.id, self.as_of)
        self._marks: dict[str, str] = {}

    def enabled(self, name: str) -> bool:
        return self.verdicts[name].enabled

    def chain(self, rows: pl.DataFrame | None) -> tuple[pl.DataFrame | None, Reason]:
        """The snapshot to read out of every snapshot known, and the reason where there is none."""
        if rows is None:
            return None, Reason.NO_DATA
        opened = session_in_progress(self.instrument.calendar, self.as_of)
        inside = opened is not None and rows["ts"].max() >= opened  # type: ignore[operator]
        if inside and not self.enabled(INTRADAY_DEALER.name):
            if self.earned_only:
                rows = rows.filter(pl.col("ts") < opened)
                self._marks[INTRADAY_DEALER.name] = (
                    "a chain of the session in progress was left out: intraday_dealer is not earned"
                )
            else:
                self._marks[INTRADAY_DEALER.name] = "research only: intraday_dealer is not earned, and the session is in progress"
        if rows.is_empty():
            return None, Reason.NOT_EARNED
        return newest_snapshot(rows, self.as_of), Reason.NO_DATA

    def policy(self, sign: str, chain: PricedChain | None) -> SignPolicy:
        """Who holds the options: the policy that was asked for; `auto` takes the prints where they are earned, else naive.

        Raises
        ------
        InvalidInput : prints that are not earned were asked for by what may only use what is
        MissingData : prints were asked for, and there are none of this chain
        """
        if sign in POLICIES or chain is None:
            return POLICIES.get(sign, NAIVE)
        earned = self.enabled(PRINT_STREAM.name)
        if sign == AUTO and not earned:
            return NAIVE
        if self.earned_only and not earned:
            raise InvalidInput(f"expected an earned sign policy, found {sign}: {self.verdicts[PRINT_STREAM.name].text}")
        found = print_flow(self.workspace, self.instrument.id, chain)
        if found is None and sign == PRINTS:
            raise MissingData("expected prints of the chain's contracts in the store, found none; choose another sign")
        if not earned:
            self._marks[PRINT_STREAM.name] = "research only: print_stream is not earned"
        return found or NAIVE

    def hmm(self) -> HmmParameters | Reason:
        """The parameters to filter with, or why there are none."""
        if not self.enabled(HMM_REGIME.name):
            return Reason.NOT_EARNED
        found = stored_regime(self.workspace, self.instrument.id, self.as_of)
        return Reason.NOT_FITTED if found is None else found.hmm

    def change(self) -> ChangePointParameters | None:
        """The change-point parameters that were fitted together with those of `hmm`."""
        found = stored_regime(self.workspace, self.instrument.id, self.as_of) if self.enabled(HMM_REGIME.name) else None
        return None if found is None else found.change

    def marked(self, reading: Reading) -> Reading:
        """A reading of the chain with what was left out, or is for research only, among its conventions."""
        return replace(reading, conventions={**reading.conventions, **self._marks})


def newest_of(rows: pl.DataFrame | None, as_of: datetime) -> pl.DataFrame | None:
    """The newest snapshot that is known; None where there is none."""
    return None if rows is None or rows.is_empty() else newest_snapshot(rows, as_of)


def session_in_progress(calendar: str, as_of: datetime) -> datetime | None:
    """When the session that is going on at a moment opened; None between sessions."""
    going = sessions(calendar).filter((pl.col("open") <= utc(as_of)) & (pl.col("close") > utc(as_of)))
    return None if going.is_empty() else going["open"][-1]


def print_flow(workspace: Workspace, underlying: str, chain: PricedChain) -> TradeFlow | None:
    """The sign policy that the last day's prints of the chain's contracts give; None where there is none.

    Prints stand in the table `option_trades` of the underlying, or one contract each in the tables `trades` and `quotes` under
    `VENUE:SYMBOL`, the OSI symbol without blanks. The side is the source's, where it states one, else that of Lee and Ready
    against the quote beside the print, or before it. A print that had been cancelled by then is none.
    """
    place = {str(name).replace(" ", ""): i for i, name in enumerate(chain.contract_id)}
    stored = workspace.store.datasets()
    held = stored.filter(pl.col("table") == "trades")["instrument"].unique().sort()
    names = {name: place[symbol] for name in held if (symbol := name.partition(":")[2]) in place}
    parts = [_prints(workspace, name, chain.as_of).with_columns(place=pl.lit(i)) for name, i in names.items()]
    if stored.filter((pl.col("table") == OPTION_TRADES.name) & (pl.col("instrument") == underlying)).height:
        parts.append(_option_prints(workspace, underlying, place, chain.as_of))
    parts = [part for part in parts if part.height]
    if not parts:
        return None
    prints = pl.concat(parts).sort("ts", "place", "sequence")
    price, bid, ask, size = (
        prints[name].cast(pl.Float64).fill_null(np.nan).to_numpy() for name in ("price", "bid", "ask", "size")
    )
    where = prints["place"].to_numpy()
    stated = (
        prints["side"]
        .replace_strict({"buy": 1.0, "sell": -1.0}, default=None, return_dtype=pl.Float64)
        .fill_null(np.nan)
        .to_numpy()
    )
    side = np.where(np.isnan(stated), lee_ready(price, bid, ask, where), stated)
    return TradeFlow(signed_volume(side, size, where, len(chain)), basis="open_interest")


def _option_prints(workspace: Workspace, underlying: str, place: Mapping[str, int], as_of: datetime) -> pl.DataFrame:
    """Prints of an underlying's contracts in the last day, each with the quote that stood beside it."""
    span = {"as_of": as_of, "first": (as_of - PRINTS_BACK).date(), "last": as_of.date()}
    names = ["ts", "sequence", "price", "size", "side", "bid", "ask"]
    found = workspace.store.read(underlying, table=OPTION_TRADES.name, **span)  # type: ignore[arg-type]
    found = found.filter((pl.col("ts") > as_of - PRINTS_BACK) & (pl.col("size") > 0)).with_columns(
        place=pl.col("contract_id").str.replace_all(" ", "").replace_strict(place, default=None, return_dtype=pl.Int32)
    )
    return found.drop_nulls("place").select(*names, "place")


def _prints(workspace: Workspace, name: str, as_of: datetime) -> pl.DataFrame:
    """Prints of a contract in the last day, each with the quote that stood before it."""
    span = {"as_of": as_of, "first": (as_of - PRINTS_BACK).date(), "last": as_of.date()}
    trades = workspace.store.read(name, table="trades", **span).filter(pl.col("ts") > as_of - PRINTS_BACK)  # type: ignore[arg-type]
    trades = trades.select("ts", "sequence", "price", "size", "side")
    if workspace.store.datasets().filter((pl.col("table") == "quotes") & (pl.col("instrument") == name)).is_empty():
        return trades.with_columns(bid=pl.lit(None, pl.Float64), ask=pl.lit(None, pl.Float64))
    quotes = workspace.store.read(name, table="quotes", **span).select("ts", "bid", "ask").sort("ts")  # type: ignore[arg-type]
    return trades.sort("ts").join_asof(quotes, on="ts", allow_exact_matches=False)


@dataclass(frozen=True)
class RegimeTrained(Shown):
    """Parameters of an instrument's regime, fitted on what was known at a moment.

    Parameters
    ----------
    hmm, change : hidden states and change points
    path : the file that keeps them
    """

    hmm: HmmParameters
    change: ChangePointParameters
    path: Path

    def as_dict(self) -> dict[str, Any]:
        return {"path": str(self.path), "hmm": self.hmm.as_dict(), "change": self.change.as_dict()}


def fit_regime(workspace: Workspace, instrument: str, *, as_of: datetime | None = None) -> RegimeTrained:
    """Fit hidden states and change points on the daily bars known at a moment, and keep the parameters in the workspace.

    Fitting switches nothing on: `read_fields` applies them once the upgrade hmm_regime is earned, and only to later moments.

    Parameters
    ----------
    as_of : time with its zone; None = now

    Raises
    ------
    MissingData : fewer than 500 bars are known
    InvalidInput : `as_of` lies ahead
    """
    not_in_the_future(workspace, as_of)
    started, began = time.perf_counter(), workspace.clock.now()
    moment = workspace.clock.now() if as_of is None else utc(as_of)
    moment = known_until(workspace, (instrument,), "regime", moment) or moment
    what = load_instrument(workspace.ledger, instrument)
    bars = workspace.store.read(instrument, as_of=moment, last=moment.date())
    if bars.is_empty():
        raise MissingData(f"expected daily bars of {instrument} known at {moment.isoformat()}, found none; import some")
    ranged = 1 - bars["high"].null_count() / bars.height >= RANGE_KNOWN
    features = ("return", "range") if ranged else ("return",)
    held = workspace.store.datasets().filter((pl.col("instrument") == instrument) & (pl.col("table") == "bars/1d"))
    stamp: dict[str, Any] = {
        "instrument": instrument,
        "fitted_until": bars["available_at"].max(),
        "simulated": what.simulated or bool(held["simulated"].any()),
    }
    values = observations(rows_of(bars), features)
    hmm, change = fit_hmm(values, features, **stamp), fit_change_points(values[:, 0], **stamp)
    path = _folder(workspace, instrument) / f"{hmm.fitted_until:%Y%m%dT%H%M%S}-{hmm.hash[:12]}.json"
    content = {"hmm": hmm.as_dict(), "change": change.as_dict()}
    write_whole(path, json.dumps(content, sort_keys=True, allow_nan=False, indent=1).encode())
    log_run(
        workspace,
        "training",
        f"regime {instrument}",
        configuration_hash=digest({"fit": "regime", "features": features}),
        data_hash=workspace.store.content_hash(instrument, as_of=moment),
        metrics={"bic": float(hmm.bic)},
        artefacts={"hmm": hmm.hash, "change_points": change.hash, "path": path.name},
        started_at=began,
        seconds=time.perf_counter() - started,
        parameters={"rows": hmm.rows},
        simulated=stamp["simulated"],
    )
    return RegimeTrained(hmm, change, path)


def stored_regime(workspace: Workspace, instrument: str, as_of: datetime) -> RegimeTrained | None:
    """The newest stored parameters that were fitted on what was known at a moment; None where there are none.

    Raises
    ------
    IntegrityError : their file was changed, or is no JSON
    """
    last = f"{utc(as_of):%Y%m%dT%H%M%S}"
    for path in sorted(_folder(workspace, instrument).glob("*.json"), reverse=True):
        if path.name[: len(last)] > last:
            continue
        found = _read(path)
        if found.hmm.fitted_until <= utc(as_of):
            return found
    return None


def _read(path: Path) -> RegimeTrained:
    try:
        content = json.loads(path.read_bytes())
        hmm, change = HmmParameters.from_dict(content["hmm"]), ChangePointParameters.from_dict(content["change"])
    except (ValueError, KeyError, TypeError, InvalidInput) as error:
        raise IntegrityError(f"expected regime parameters in {path}, found {error}; fit them again") from None
    return RegimeTrained(hmm, change, path)


def _folder(workspace: Workspace, instrument: str) -> Path:
    return workspace.home / "models" / "regime" / file_name(instrument)
