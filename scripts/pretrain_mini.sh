#!/bin/sh
# Trains multistar-mini from nothing and measures it: about an hour and a quarter on two cores. An interrupted run goes on.
set -eu
cd "$(dirname "$0")/.."
test -e mini/mock.parquet || .venv/bin/multistar mock --stars 180000 --seed 1 --out mini/mock.parquet
test -e mini/model || .venv/bin/multistar pretrain scripts/mini.toml
.venv/bin/python scripts/benchmark_labels.py mini/model --train mini/mock.parquet --out mini/benchmark --no-parallax
