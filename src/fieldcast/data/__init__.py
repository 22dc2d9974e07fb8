"""Market data: providers, importer, the versioned store, cleaning, quality and gap checks, the simulated market."""

from fieldcast.data._rows import list_instruments, load_instrument, save_instrument
from fieldcast.data.bundled import BUNDLED, read_bundled
from fieldcast.data.gaps import GapReport, gap_report
from fieldcast.data.importer import ImportReport, import_file
from fieldcast.data.lineage import Lineage
from fieldcast.data.memory import MemoryStore
from fieldcast.data.opens import flag_synthetic_opens, synthetic_years
from fieldcast.data.parquet import ParquetStore
from fieldcast.data.quality import QualityReport, quality
from fieldcast.data.rules import CleaningReport, Severity, clean
from fieldcast.data.simulated import Simulated, SimulatedMarket, bayes_auc, simulate
from fieldcast.data.store import AppendResult, Problem, RebuildReport, Store, VerifyReport

__all__ = [
    "BUNDLED",
    "AppendResult",
    "CleaningReport",
    "GapReport",
    "ImportReport",
    "Lineage",
    "MemoryStore",
    "ParquetStore",
    "Problem",
    "QualityReport",
    "RebuildReport",
    "Severity",
    "Simulated",
    "SimulatedMarket",
    "Store",
    "VerifyReport",
    "bayes_auc",
    "clean",
    "flag_synthetic_opens",
    "gap_report",
    "import_file",
    "list_instruments",
    "load_instrument",
    "quality",
    "read_bundled",
    "save_instrument",
    "simulate",
    "synthetic_years",
]
