// Prometheus metrics of one process, in a registry of its own (prom-client stays behind this file).
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';

export type Labels = Record<string, string | number>;

export interface CounterMetric {
  add(value?: number, labels?: Labels): void;
}
export interface GaugeMetric {
  set(value: number, labels?: Labels): void;
}
export interface HistogramMetric {
  observe(value: number, labels?: Labels): void;
}

export interface Metrics {
  counter(name: string, help: string, labelNames?: readonly string[]): CounterMetric;
  /** With `read`, the value is asked for at scrape time. */
  gauge(name: string, help: string, labelNames?: readonly string[], read?: () => number): GaugeMetric;
  histogram(name: string, help: string, buckets: readonly number[], labelNames?: readonly string[]): HistogramMetric;
  readonly contentType: string;
  text(): Promise<string>;
}

export function createMetrics(options: { readonly processMetrics?: boolean } = {}): Metrics {
  const registry = new Registry();
  const registers = [registry];
  if (options.processMetrics) collectDefaultMetrics({ register: registry });
  return {
    counter(name, help, labelNames = []) {
      const counter = new Counter({ name, help, labelNames: [...labelNames], registers });
      return { add: (value = 1, labels = {}) => counter.inc(labels, value) };
    },
    gauge(name, help, labelNames = [], read) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames: [...labelNames],
        registers,
        ...(read === undefined ? {} : { collect: () => gauge.set(read()) }),
      });
      return { set: (value, labels = {}) => gauge.set(labels, value) };
    },
    histogram(name, help, buckets, labelNames = []) {
      const histogram = new Histogram({ name, help, labelNames: [...labelNames], buckets: [...buckets], registers });
      return { observe: (value, labels = {}) => histogram.observe(labels, value) };
    },
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}
