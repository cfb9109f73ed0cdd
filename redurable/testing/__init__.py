"""The public test kit: what those need who test their own orchestrations, or bring a store of their own."""
