"""What scripts/contract adds to the merged document: examples, code samples, a Postman collection, the changelog."""
