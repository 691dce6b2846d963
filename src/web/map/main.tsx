/** The live map: who looks, and then the map or the way in. */
import '../look/base.css'
import './map.css'
import { render } from 'preact'
import { createCredential } from '../hub/credential.ts'
import { Entrance } from '../hub/Entrance.tsx'
import { createTheme } from '../look/theme.ts'
import { MapPage } from './MapPage.tsx'

const theme = createTheme()
const credential = createCredential()

// Whoever is signed in will see the map: it comes while the hub is asked what it is.
if (credential.token.peek() !== null) import('./chart/chart.ts').catch(() => {})

render(
  <Entrance credential={credential}>
    {(setup) => <MapPage credential={credential} setup={setup} theme={theme} />}
  </Entrance>,
  document.getElementById('page')!,
)
