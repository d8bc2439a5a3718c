"""Stages: functions ``run(spec, job) -> metrics``, one per kind of job.

A worker imports them at its first job, in the process that it has forked: not before.
"""
