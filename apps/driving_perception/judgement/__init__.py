"""What an evaluation says: measured values, tables and figures of the report."""
