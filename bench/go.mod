module github.com/assenthq/assent/bench

go 1.26.0
