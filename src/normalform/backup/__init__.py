"""The parts of `backup`: programs, child processes, the folder, checksums, the scratch database."""
