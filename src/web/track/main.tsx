/** /track: turns the browser of a phone into a device. */
import '../look/base.css'
import './track.css'
import { render } from 'preact'
import { takeFromFragment } from '../hub/credential.ts'
import { createTheme } from '../look/theme.ts'
import { createKeep } from './keep.ts'
import { TrackPage } from './TrackPage.tsx'

const theme = createTheme()
const keep = createKeep(localStorage)

render(
  <TrackPage theme={theme} keep={keep} code={takeFromFragment('pair')} />,
  document.getElementById('page')!,
)

// Only so that a reload without a connection works; the page does as well without.
navigator.serviceWorker?.register('/track-worker.js', { scope: '/track' }).catch(() => {})
