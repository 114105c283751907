"""What the gate found, for those who must answer for it: as data, as JSON, and as text.

Nothing here verifies anything, opens a file or looks at a clock. The same findings give the same report, byte for byte.

    report    the report and its parts, and their JSON      changes   what is new, changed and gone
    text      the same for people
"""

from bundler.report.changes import Change, changed_images, changes
from bundler.report.report import Report

__all__ = ["Change", "Report", "changed_images", "changes"]
