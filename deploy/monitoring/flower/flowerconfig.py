"""Flower's options. They are read as plain assignments."""

address = "0.0.0.0"
port = 5555
# Whoever reaches the page may look, and change nothing. Its HTTP API stays closed, as it is unless
# FLOWER_UNAUTHENTICATED_API says otherwise.
read_only = True
# Workers of RecLens send their events unasked.
enable_events = False
# A killed worker says nothing: its last figures would stay for ever.
purge_offline_workers = 60
# Jobs last from seconds to hours.
task_runtime_metric_buckets = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14400.0]
max_tasks = 10000
max_workers = 200
inspect_timeout = 2000.0
