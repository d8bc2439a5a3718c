"""The Celery application, its workers, and what notices when one of them has stopped working."""
