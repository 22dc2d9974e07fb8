"""What the readers of option chains share: contracts by their OSI symbol, terms by their root, what a snapshot knows.

A contract that had expired when the snapshot was taken is dropped and counted. Zeros and floors that vendors write where they
know nothing become null with the reason `placeholder`. A crossed quote stays and is flagged by cleaning.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import polars as pl

from fieldcast.data.chains import Terms, expiry_moments, open_interest_known, osi_of, parsed_osi, terms_of, underlying_time
from fieldcast.data.formats.bars import real
from fieldcast.data.formats.contract import Options, Parsed
from fieldcast.data.formats.frames import rejects, rows_of
from fieldcast.data.formats.text import venue_of
from fieldcast.data.lineage import Availability
from fieldcast.ground import InvalidInput, Reason
from fieldcast.market import Instrument, Kind, add_reason, default_instrument
from fieldcast.market.tables import CHAINS

NO_IV = 1.0001e-5  # Yahoo writes 1e-05 where it could not solve for a volatility, CBOE 0


def chain_rows(
    quotes: pl.DataFrame,
    refused: Sequence[pl.DataFrame],
    options: Options,
    name: str,
    *,
    ts: datetime,
    availability: Availability,
    available_at: datetime | None = None,
    notes: tuple[str, ...] = (),
) -> Parsed:
    """A snapshot as rows of `chains`.

    Parameters
    ----------
    quotes : `row`, `contract` (OSI, padded or not), `expiration`, `strike`, `right` as the file's other columns have them, and
        columns of `chains`; numbers not judged yet
    refused : lines that could not be read
    ts : of the snapshot
    availability : `reported` where the file states `ts`
    available_at : when all of it was known; none = `ts`

    Raises
    ------
    InvalidInput : no contract can be read, the underlying is not the one named, or its venue is unknown
    """
    known = pl.concat([quotes, parsed_osi(quotes["contract"]).rename(lambda column: f"osi_{column}")], how="horizontal")
    agrees = (
        (pl.col("osi_expiry") == pl.col("expiration"))
        & ((pl.col("osi_strike") - pl.col("strike")).abs() < 0.0005)
        & (pl.col("osi_right") == pl.col("right"))
    ).fill_null(value=False)
    unreadable = known.filter(~agrees)
    known = known.filter(agrees).with_columns(root="osi_root", expiry="osi_expiry", strike="osi_strike")
    terms = _terms(known["root"], name)
    odd = known.filter(~pl.col("root").is_in(list(terms)))
    known = known.filter(pl.col("root").is_in(list(terms)))
    underlying = _underlying(next(iter(terms.values())), options, name)
    known = known.with_columns(_term(terms, "settlement"), _term(terms, "exercise_style"), _term(terms, "multiplier"))
    known = known.with_columns(expiry_moments(known["expiry"], known["settlement"]), osi_of(known))
    expired = known.filter(pl.col("expiry_ts") <= ts)
    live = known.filter(pl.col("expiry_ts") > ts)
    moment = pl.Series("ts", [ts], dtype=CHAINS.schema["ts"])
    live = _without_placeholders(live).with_columns(
        instrument=pl.lit(underlying.id),
        ts=pl.lit(moment[0]),
        available_at=pl.lit(ts if available_at is None else max(ts, available_at)).cast(CHAINS.schema["ts"]),
        underlying_ts=pl.lit(underlying_time(moment)[0]),
        oi_available_at=pl.lit(open_interest_known(moment)[0]),
    )
    if availability == "assumed":
        live = live.with_columns(add_reason(Reason.AVAILABILITY_ASSUMED, pl.lit(value=True)))
    lines = [
        *refused,
        rejects(unreadable["row"], unreadable["contract"].fill_null("")),
        rejects(odd["row"], odd["contract"]),
        rejects(expired["row"], expired["contract_id"], Reason.EXPIRED),
    ]
    return Parsed(
        table=CHAINS.name,
        rows=rows_of(CHAINS, live),
        instruments=(underlying,),
        rejects=pl.concat(lines),
        available_at=availability,
        notes=(*notes, f"snapshot of {ts:%Y-%m-%d %H:%M:%S} UTC, roots {', '.join(sorted(terms))}"),
    )


def _terms(roots: pl.Series, name: str) -> dict[str, Terms]:
    """Terms of the roots of the file's underlying; adjusted contracts and strays are left out."""
    counts = roots.alias("root").value_counts().sort("count", "root", descending=[True, False])
    terms: dict[str, Terms] = {}
    for root, _ in counts.iter_rows():
        try:
            found = terms_of(root)
        except InvalidInput:
            continue
        if not terms or found.underlying == next(iter(terms.values())).underlying:
            terms[root] = found
    if not terms:
        raise InvalidInput(f"expected contracts with OSI symbols, expiries and strikes that agree in {name}, found none")
    return terms


def _underlying(terms: Terms, options: Options, name: str) -> Instrument:
    if options.instrument is not None:
        if re.sub("[^A-Z0-9]", "", options.instrument.symbol.upper()) != terms.underlying:      # the root of BRK.B is BRKB
            raise InvalidInput(f"expected contracts on {options.instrument.id} in {name}, found {terms.underlying}")
        return real(options.instrument)
    if terms.venue is not None:
        return default_instrument(f"{terms.venue}:{terms.underlying}", Kind.INDEX)
    if options.venue is None:
        raise InvalidInput(f"expected to be told the venue of {terms.underlying}, of which {name} is; give instrument= or venue=")
    return default_instrument(f"{venue_of(options.venue)}:{terms.underlying}", options.kind or Kind.EQUITY)


def _term(terms: dict[str, Terms], field: str) -> pl.Expr:
    values = {root: getattr(term, field) for root, term in terms.items()}
    dtype = pl.Float64 if field == "multiplier" else pl.String
    return pl.col("root").replace_strict(values, return_dtype=dtype).alias(field)


def _without_placeholders(rows: pl.DataFrame) -> pl.DataFrame:
    """Null where the vendor writes zero for what it does not know; Greeks without a volatility are none either."""
    no_iv = pl.col("iv").is_between(0, NO_IV)
    no_quote = (pl.col("ask") == 0) & (pl.col("bid") == 0)
    no_last = pl.col("last") == 0
    greeks = [name for name in ("delta", "gamma", "vega", "theta", "rho") if name in rows.columns]
    absent = (no_iv | no_quote).fill_null(value=False)
    return rows.with_columns(
        pl.when(no_iv).then(None).otherwise(pl.col("iv")).alias("iv"),
        *(pl.when(no_iv).then(None).otherwise(pl.col(name)).alias(name) for name in greeks),
        *(pl.when(no_quote).then(None).otherwise(pl.col(name)).alias(name) for name in ("bid", "ask")),
        pl.when(no_last).then(None).otherwise(pl.col("last")).alias("last"),
        pl.when(absent).then(pl.lit(str(Reason.PLACEHOLDER))).otherwise(None).alias("reasons"),
    )
