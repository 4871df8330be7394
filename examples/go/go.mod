module model-runtime.example/go

go 1.24
