"""Market data: providers, importer, the versioned store, cleaning, quality and gap checks, the simulated market."""

from fieldcast.data._content import content_sha256
from fieldcast.data._rows import list_instruments, load_instrument, save_instrument
from fieldcast.data._tally import ImportReport, SourceReport
from fieldcast.data.actions import action_rows, adjust, read_adjusted
from fieldcast.data.bundled import BUNDLED, read_bundled
from fieldcast.data.cleaning import clean_rows
from fieldcast.data.daily_check import DailyCheck, check_daily
from fieldcast.data.formats import FORMATS, Format, Options, Source
from fieldcast.data.freshness import Freshness, freshness
from fieldcast.data.gaps import GapReport, gap_report
from fieldcast.data.importing import import_source, import_sources
from fieldcast.data.lineage import Lineage
from fieldcast.data.memory import MemoryStore
from fieldcast.data.opens import flag_synthetic_opens, synthetic_years
from fieldcast.data.parquet import ParquetStore
from fieldcast.data.quality import QualityReport, quality, quality_of
from fieldcast.data.repair import Proposal, apply_repair, propose
from fieldcast.data.resample import Resampled, to_minutes, to_sessions, to_weeks
from fieldcast.data.rules import CleaningReport, Severity, clean
from fieldcast.data.simulated import Simulated, SimulatedMarket, bayes_auc, simulate
from fieldcast.data.states import State, StateChange, record_state, reinstate, retire, state_history, state_of
from fieldcast.data.store import AppendResult, CompactReport, Problem, RebuildReport, Store, VerifyReport
from fieldcast.data.universe import Universe, load_universe
from fieldcast.data.universe_check import UniverseReport, plan_repairs, plan_update, verify_universe
from fieldcast.data.vendor_faults import FaultReport, find_faults

__all__ = [
    "BUNDLED",
    "FORMATS",
    "AppendResult",
    "CleaningReport",
    "CompactReport",
    "DailyCheck",
    "FaultReport",
    "Format",
    "Freshness",
    "GapReport",
    "ImportReport",
    "Lineage",
    "MemoryStore",
    "Options",
    "ParquetStore",
    "Problem",
    "Proposal",
    "QualityReport",
    "RebuildReport",
    "Resampled",
    "Severity",
    "Simulated",
    "SimulatedMarket",
    "Source",
    "SourceReport",
    "State",
    "StateChange",
    "Store",
    "Universe",
    "UniverseReport",
    "VerifyReport",
    "action_rows",
    "adjust",
    "apply_repair",
    "bayes_auc",
    "check_daily",
    "clean",
    "clean_rows",
    "content_sha256",
    "find_faults",
    "flag_synthetic_opens",
    "freshness",
    "gap_report",
    "import_source",
    "import_sources",
    "list_instruments",
    "load_instrument",
    "load_universe",
    "plan_repairs",
    "plan_update",
    "propose",
    "quality",
    "quality_of",
    "read_adjusted",
    "read_bundled",
    "record_state",
    "reinstate",
    "retire",
    "save_instrument",
    "simulate",
    "state_history",
    "state_of",
    "synthetic_years",
    "to_minutes",
    "to_sessions",
    "to_weeks",
    "verify_universe",
]
