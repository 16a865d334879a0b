// Draws the board of the page's data with the panel components that Grafana publishes. What Grafana does around them
// (queries, variables, the grid) is done here, as plainly as can be.
import React from 'react';
import { createRoot } from 'react-dom/client';
import {
  createTheme, FieldType, getDisplayProcessor, getFieldColorModeForField, LoadingState, dateTime, ThemeContext, toDataFrame,
} from '@grafana/data';
import {
  BarGauge, BarGaugeDisplayMode, BigValue, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode,
  BigValueTextMode, GlobalStyles, LegendDisplayMode, PanelChrome, Table, TimeSeries,
} from '@grafana/ui';

const { board, answers, dark } = window.recorded;
const [from, to] = [window.recorded.from, window.recorded.to].map((seconds) => Math.round(seconds * 1000));
const theme = createTheme({ colors: { mode: dark ? 'dark' : 'light' } });
const COLUMN = 60, ROW = 38, GAP = 8;

/** The answers of a panel's queries: each series with its labels, points and the query it is of. */
function series(panel) {
  return panel.targets.flatMap((target, number) => {
    const name = panel.title + (number === 0 ? '' : ` ${target.refId}`);
    // Prometheus writes instants in seconds and values as text.
    const points = (one) => one.values?.map(([at, value]) => [Math.round(at * 1000), Number(value)]);
    return (answers[name] ?? []).map((one) => ({ ...one, points: points(one), target }));
  });
}

function legend(format, labels) {
  return format === '__auto' ? '' : format.replace(/\{\{(\w+)\}\}/g, (_, label) => labels[label] ?? '').replace(/ +/g, ' ').trim();
}

/** The options of a field: the panel's, with what overrides change for its name or its query. */
function config(panel, name, refId) {
  const made = { ...panel.fieldConfig.defaults, custom: { ...panel.fieldConfig.defaults.custom } };
  for (const { matcher, properties } of panel.fieldConfig.overrides ?? []) {
    const isOf = { byName: name, byFrameRefID: refId }[matcher.id] === matcher.options;
    for (const { id, value } of isOf ? properties : []) {
      if (id.startsWith('custom.')) made.custom[id.slice('custom.'.length)] = value;
      else made[id] = value;
    }
  }
  // What Grafana does when a panel is loaded: null stands for the end of a scale.
  made.thresholds = { ...made.thresholds, steps: made.thresholds.steps.map((s) => ({ ...s, value: s.value ?? -Infinity })) };
  return made;
}

function field(of) {
  return { ...of, display: getDisplayProcessor({ field: of, theme }) };
}

/** What stat and bar gauge show of a series: its text, colour and name. */
function displayed(panel, one) {
  const name = legend(one.target.legendFormat, one.labels);
  const shown = field({ name, type: FieldType.number, values: [one.now], labels: one.labels, config: config(panel, name, one.target.refId) });
  return { field: shown.config, display: { ...shown.display(one.now), title: name }, view: undefined };
}

function Stat({ panel, width, height }) {
  const all = series(panel), each = Math.floor((width - GAP * (all.length - 1)) / all.length);
  const mode = { value: BigValueTextMode.Value, name: BigValueTextMode.Name, value_and_name: BigValueTextMode.ValueAndName };
  return <div style={{ display: 'flex', gap: GAP }}>{all.map((one, key) => {
    const { display } = displayed(panel, one);
    return <BigValue key={key} theme={theme} width={each} height={height} value={display}
      colorMode={panel.options.colorMode === 'background' ? BigValueColorMode.Background : BigValueColorMode.Value}
      graphMode={BigValueGraphMode.None} justifyMode={BigValueJustifyMode.Center}
      textMode={mode[panel.options.textMode] ?? BigValueTextMode.Auto} />;
  })}</div>;
}

function Bars({ panel, width, height }) {
  const all = series(panel).map((one) => displayed(panel, one));
  const largest = Math.max(...all.map(({ display }) => display.numeric), 0);
  const each = Math.min(28, Math.max(12, Math.floor(height / all.length) - 6));
  return <div>{all.map(({ field, display }, key) => <div key={key} style={{ marginBottom: 6 }}>
    <BarGauge theme={theme} width={width} height={each} value={display}
      field={{ ...field, min: field.min ?? 0, max: field.max ?? largest }} orientation="horizontal"
      displayMode={BarGaugeDisplayMode.Basic} valueDisplayMode={'color'} showUnfilled
      itemSpacing={8} alignmentFactors={{ title: all.map((a) => a.display.title).sort((a, b) => b.length - a.length)[0] ?? '', text: '88888 bytes' }} />
  </div>)}</div>;
}

function Graph({ panel, width, height }) {
  const frames = series(panel).map((one, number) => {
    const name = legend(one.target.legendFormat, one.labels);
    const time = { name: 'Time', type: FieldType.time, values: one.points.map(([at]) => at), config: {} };
    const value = { name, type: FieldType.number, values: one.points.map(([, v]) => v), labels: {}, config: { ...config(panel, name, one.target.refId), displayName: name } };
    const shown = field({ ...value, state: { seriesIndex: number } });
    shown.config.custom = { ...shown.config.custom };
    return { ...toDataFrame({ refId: one.target.refId, fields: [time, value] }), fields: [{ ...time, display: (v) => ({ text: new Date(v).toISOString().slice(11, 19), numeric: v }) }, shown] };
  });
  const range = { from: dateTime(from), to: dateTime(to), raw: { from: dateTime(from), to: dateTime(to) } };
  return <TimeSeries frames={frames} structureRev={1} timeRange={range} timeZone="utc" width={width} height={height}
    replaceVariables={(text) => text}
    legend={{ displayMode: panel.options.legend.displayMode === 'table' ? LegendDisplayMode.Table : LegendDisplayMode.List, placement: 'bottom', calcs: panel.options.legend.calcs, showLegend: true }} />;
}

function Grid({ panel, width, height }) {
  const all = series(panel), organize = panel.transformations[0].options;
  const labels = Object.keys(organize.indexByName).filter((name) => !organize.excludeByName[name]);
  labels.sort((a, b) => organize.indexByName[a] - organize.indexByName[b]);
  const fields = labels.map((label) => {
    const name = organize.renameByName[label] ?? label, is = label === 'Value';
    const values = all.map((one) => (is ? one.now : one.labels[label] ?? ''));
    const made = config(panel, name, 'A');
    if (!is && !(panel.fieldConfig.overrides ?? []).some((o) => o.matcher.options === name)) made.mappings = [];
    return field({ name, type: is ? FieldType.number : FieldType.string, values, config: { ...made, displayName: name } });
  });
  return <Table data={{ ...toDataFrame({ fields }), fields, length: all.length }} width={width} height={height} ariaLabel={panel.title} />;
}

/** Grafana publishes no state timeline: rows of coloured cells stand for it. */
function States({ panel, width, height }) {
  const all = series(panel), label = Math.min(220, 10 + 7 * Math.max(...all.map((one) => legend(one.target.legendFormat, one.labels).length)));
  const each = Math.min(34, Math.floor((height - 18) / Math.max(all.length, 1)));
  const x = (at) => label + ((at - from) / (to - from)) * (width - label);
  return <svg width={width} height={height} style={{ fontFamily: theme.typography.fontFamily, fontSize: 12 }}>
    {all.map((one, row) => {
      const name = legend(one.target.legendFormat, one.labels);
      const shown = field({ name, type: FieldType.number, values: [], config: config(panel, name, one.target.refId) });
      const runs = [];
      for (const [at, value] of one.points) {
        const last = runs.at(-1), step = one.points[1] ? one.points[1][0] - one.points[0][0] : to - from;
        if (last && last.value === value && at - last.end <= step) last.end = at + step;
        else runs.push({ value, start: at, end: at + step });
      }
      return <g key={row} transform={`translate(0 ${row * each})`}>
        <text x={label - 6} y={each / 2 + 4} textAnchor="end" fill={theme.colors.text.primary}>{name}</text>
        {runs.map(({ value, start, end }, key) => {
          const display = shown.display(value), left = x(start), wide = Math.max(1, Math.min(width, x(end)) - left);
          return <g key={key}><rect x={left} y={2} width={wide} height={each - 4} fill={display.color ?? theme.colors.text.disabled} fillOpacity={0.8} />
            {wide > 7 * display.text.length + 8 && <text x={left + 5} y={each / 2 + 4} fill={theme.colors.getContrastText(display.color ?? '#888')}>{display.text}</text>}</g>;
        })}
      </g>;
    })}
    {[0, 0.25, 0.5, 0.75].map((part) => <text key={part} x={label + part * (width - label)} y={height - 4} fill={theme.colors.text.secondary}>{new Date(from + part * (to - from)).toISOString().slice(11, 19)}</text>)}
  </svg>;
}

const KINDS = { stat: Stat, bargauge: Bars, timeseries: Graph, table: Grid, 'state-timeline': States };

class Guard extends React.Component {
  state = {};
  static getDerivedStateFromError(error) { return { error }; }
  render() { return this.state.error ? <pre className="fault">{String(this.state.error)}</pre> : this.props.children; }
}

function Panel({ panel }) {
  const { x, y, w, h } = panel.gridPos;
  const box = { position: 'absolute', left: x * COLUMN + GAP / 2, top: y * ROW, width: w * COLUMN - GAP, height: h * ROW - GAP };
  if (panel.type === 'row') return <div style={{ ...box, fontSize: 18, padding: 4 }}>{panel.title}</div>;
  const Kind = KINDS[panel.type], isEmpty = series(panel).length === 0;
  return <div style={box} className="drawn" data-title={panel.title} data-empty={isEmpty}>
    <PanelChrome title={panel.title} width={box.width} height={box.height} padding="sm" loadingState={LoadingState.Done}>
      {(width, height) => <Guard>{isEmpty
        ? <div style={{ height, display: 'flex', alignItems: 'center', justifyContent: 'center', textAlign: 'center', color: theme.colors.text.secondary }}>{panel.fieldConfig.defaults.noValue}</div>
        : <Kind panel={panel} width={width} height={height} />}</Guard>}
    </PanelChrome></div>;
}

function Board() {
  const height = Math.max(...board.panels.map((p) => p.gridPos.y + p.gridPos.h)) * ROW;
  return <ThemeContext.Provider value={theme}><GlobalStyles />
    <div style={{ background: theme.colors.background.canvas, color: theme.colors.text.primary, width: 24 * COLUMN, padding: '8px 0', fontFamily: theme.typography.fontFamily }}>
      <div style={{ fontSize: 18, padding: '0 12px 8px' }}>{board.title}<span style={{ color: theme.colors.text.secondary, fontSize: 13 }}>{'  '}{window.recorded.caption}</span></div>
      <div style={{ position: 'relative', height }}>{board.panels.map((panel) => <Panel key={panel.id} panel={panel} />)}</div>
    </div></ThemeContext.Provider>;
}

window.onerror = (message) => { document.body.dataset.fault = message; };
createRoot(document.getElementById('board')).render(<Board />);
