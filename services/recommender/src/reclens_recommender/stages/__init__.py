"""Stages: functions ``run(spec, job) -> metrics``, one per kind of job."""
