"""Who does the work of a run: this process, processes of their own, or a cluster."""
