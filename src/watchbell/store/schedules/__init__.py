"""Jobs and schedules as they are written: put, versions, standing, pauses, what waits for its instant, sources."""
