"""What is stored of a cell, and the files that hold it. Light: the report and the gate start here."""
