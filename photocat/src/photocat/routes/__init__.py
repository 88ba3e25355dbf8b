"""The routes of the service, one noun a file. A route reads its request, asks the modules beside it, and answers."""
