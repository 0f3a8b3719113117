"""From files to checked transactions: recognising formats, reading tables, checking rows."""
