// Runs the suite of a checkout against an address and counts what passes, as the suite's own tables
// do: a test whose prerequisite fails counts as failed, whatever it said itself.
//
//   node count.mjs CHECKOUT BASE PRESET [TEST]

import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

// Tests that must pass: required, optimal.
const bars = { conformance: [160, 98], cautious: [149, 90], private: [136, 71] }

const [checkout, base, preset, only] = process.argv.slice(2)
const load = file => import(pathToFileURL(join(checkout, file)).href)
const { runTests, getResults } = await load('test-engine/client/runner.mjs')
const { determineTestResult, resultTypes } = await load('test-engine/lib/results.mjs')
const { default: suites } = await load('tests/index.mjs')

const browser = preset === 'private'
const selected = suites.map(suite => ({
  ...suite,
  tests: suite.tests.filter(test => only === undefined || test.id === only)
}))
if (only !== undefined) selected.forEach(suite => suite.tests.forEach(test => { test.dump = true }))
await runTests(selected, browser, base)

const results = getResults()
const kinds = { required: [0, 0], optimal: [0, 0], check: [0, 0] }
const failed = []
for (const test of suites.flatMap(suite => suite.tests)) {
  if (results[test.id] === undefined) continue
  const kind = test.kind ?? 'required'
  const result = determineTestResult(suites, test.id, results, only === undefined)
  const passed = result === resultTypes.pass || result === resultTypes.yes
  kinds[kind][0] += passed ? 1 : 0
  kinds[kind][1] += 1
  const name = Object.keys(resultTypes).find(name => resultTypes[name] === result)
  if (!passed && kind !== 'check') failed.push(`  ${kind} ${test.id} (${name}): ${results[test.id]}`)
}
const counts = Object.entries(kinds).map(([kind, [passed, all]]) => `${kind} ${passed}/${all}`)
console.log(`${preset}: ${counts.join(', ')}`)
console.log(failed.join('\n'))
const met = (bars[preset] ?? [0, 0]).every((bar, at) => Object.values(kinds)[at][0] >= bar)
process.exit(met || only !== undefined ? 0 : 1)
