"""Write the report: one HTML file that shows predictions, offline and without a server."""

from tfinet_mm.report.basemap import Basemap
from tfinet_mm.report.collected import PairCollector, report_data
from tfinet_mm.report.folder import read_folder
from tfinet_mm.report.page import (
    check_report,
    report_file,
    save_report,
    say_older_report,
    write_report,
)
from tfinet_mm.report.records import (
    PairSummary,
    PairView,
    Polygon,
    ReportData,
)

__all__ = [
    'Basemap',
    'PairCollector',
    'PairSummary',
    'PairView',
    'Polygon',
    'ReportData',
    'check_report',
    'read_folder',
    'report_data',
    'report_file',
    'save_report',
    'say_older_report',
    'write_report',
]
