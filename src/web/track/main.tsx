/** /track: turns the browser of a phone into a device. */
import '../look/base.css'
import './track.css'
import { signal } from '@preact/signals'
import { render } from 'preact'
import { hearFragment } from '../hub/credential.ts'
import { createTheme } from '../look/theme.ts'
import { createKeep } from './keep.ts'
import { TrackPage } from './TrackPage.tsx'

const theme = createTheme()
const keep = createKeep(localStorage)
/** Of the link that was opened last, until it is used or turned down. */
const code = signal<string | null>(null)
hearFragment('pair', (token) => {
  code.value = token
})

render(<TrackPage theme={theme} keep={keep} code={code} />, document.getElementById('page')!)

// Only so that a reload without a connection works; the page does as well without.
navigator.serviceWorker?.register('/track-worker.js', { scope: '/track' }).catch(() => {})
