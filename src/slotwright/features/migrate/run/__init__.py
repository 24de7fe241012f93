"""Moving a running server's data into a cluster: attach as a replica, copy, follow, fence, prove."""
