"""One specification per stage: ``...Options`` is what a person writes, ``...Spec`` adds inputs."""
