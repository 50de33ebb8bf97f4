"""Roll out artifacts and watch them land."""
