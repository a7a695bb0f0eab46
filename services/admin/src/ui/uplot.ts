// The one place that has the charting library: loaded when a chart is on the page, never with the first page.
export { default as UPlot } from 'uplot';
