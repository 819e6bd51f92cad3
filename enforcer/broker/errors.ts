// The closed table of what keeps the second layer from a broker. While it does, the proxy still enforces.
import { errorTable } from '../../runtime/errors.ts';

export const brokerErrors = errorTable({
  BROKER_UNREACHABLE: {
    status: 'UNAVAILABLE',
    remedy: 'Check that the broker runs, listens on the address of brokers in edge.yaml, and speaks MQTT 5.0',
  },
  BROKER_LOGIN_REFUSED: {
    status: 'UNAUTHENTICATED',
    remedy: 'Check admin.userName and the file admin.passwordFile against the account of the broker',
  },
  BROKER_COMMAND_REFUSED: {
    status: 'FAILED_PRECONDITION',
    remedy: 'Load mosquitto_dynamic_security.so and give the account its role admin (mosquitto_ctrl dynsec init)',
  },
  BROKER_ANSWER_INVALID: {
    status: 'INTERNAL',
    remedy: 'Check that what answers at the address is a mosquitto of version 2.0 with its dynamic security plugin',
  },
  BROKER_ACCOUNT_TAKEN: {
    status: 'FAILED_PRECONDITION',
    remedy:
      'Give the administrator of the broker a user name that no device has as its id; until then that device has no account',
  },
  BROKER_CONTESTED: {
    status: 'ABORTED',
    remedy: 'Find out who else changes the accounts of the broker (its log names the account) and stop that',
  },
} as const);

export type BrokerErrorCode = keyof typeof brokerErrors.codes;
